"""The membership attack: its numbers against NumPy, and whether it finds what is there to find."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import stream
from fedgenbench.images.adapters import embedded
from fedgenbench.images.lora import tune
from fedgenbench.images.pipeline import load
from fedgenbench.images.settings import Lora
from fedgenbench.systems.foundation.networks import SCHEDULE
from fedgenbench.systems.warmfed import membership as module
from fedgenbench.systems.warmfed.examination import Client, Part
from fedgenbench.systems.warmfed.membership import (
    attack,
    attacked,
    balanced,
    denoising_losses,
    membership,
    standard_error,
)

MODEL = Path(__file__).parents[3] / "models/foundation"

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30).map(np.array)


@settings(deadline=None)  # scikit-learn is imported by the first call
@given(scores, scores)
def test_the_area_is_the_chance_that_a_member_scores_higher(members, others):
    found = attack(members, others)
    higher = members[:, None] > others[None]
    area = (higher + 0.5 * (members[:, None] == others[None])).mean()
    assert found["auc"] == pytest.approx(area)
    rates = [
        (members >= limit).mean()
        for limit in [*members, *others, np.inf]
        if (others >= limit).mean() <= 0.05
    ]
    assert found["tpr_at_5_fpr"] == pytest.approx(max(rates))


def test_known_limits_of_the_attack():
    apart = attack(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    assert apart == {"auc": 1, "auc_standard_error": 0, "tpr_at_5_fpr": 1}
    same = attack(np.zeros(20), np.zeros(30))
    assert same["auc"] == 0.5
    assert same["tpr_at_5_fpr"] == 0
    # Under chance the variance is that of Wilcoxon's statistic.
    assert same["auc_standard_error"] == pytest.approx(np.sqrt((20 + 30 + 1) / (12 * 20 * 30)))


def test_the_standard_error_is_the_spread_over_exponential_scores():
    draws = stream(0, "scores")
    members = draws.exponential(3, (4000, 25, 1))
    others = draws.exponential(1, (4000, 1, 40))
    areas = (members > others).mean((1, 2))
    assert areas.mean() == pytest.approx(3 / 4, abs=0.005)
    assert standard_error(3 / 4, 25, 40) == pytest.approx(areas.std(), rel=0.05)


labels = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(
    lambda values: np.array(values, np.int64)
)


@given(labels, labels, st.integers(2, 30))
def test_members_and_others_are_alike_in_class(members, others, most):
    left, right = balanced(members, others, most, stream(0, "balance"))
    assert len(set(left)) == len(left)
    assert len(set(right)) == len(right)
    taken, same = (np.bincount(part, minlength=5) for part in (members[left], others[right]))
    assert taken.tolist() == same.tolist()
    both = np.minimum(np.bincount(members, minlength=5), np.bincount(others, minlength=5))
    assert len(left) == min(most, both.sum())
    # Whoever has fewer than another by two has no more to give.
    assert all(taken[c] == both[c] for c in range(5) if taken[c] < taken.max() - 1)


def known(prediction_type, clean):
    """A pipeline whose U-Net knows the clean latents, and so predicts without an error."""
    share = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000) ** 2
    share = (1 - share).cumprod(0)
    calls = []

    class Network:
        dtype = torch.float32

        def __call__(self, noisy, t, encoder_hidden_states):
            a, s = (v.view(-1, 1, 1, 1) for v in (share[t].sqrt(), (1 - share[t]).sqrt()))
            rows = encoder_hidden_states[:, 0, 0].long()
            noise = (noisy - a * clean[rows]) / s
            calls.append((int(t[0]), noise))
            if prediction_type == "v_prediction":
                return SimpleNamespace(sample=a * noise - s * clean[rows])
            return SimpleNamespace(sample=noise + rows.view(-1, 1, 1, 1))

    config = SCHEDULE | {"prediction_type": prediction_type}
    return SimpleNamespace(unet=Network(), scheduler=SimpleNamespace(config=config)), calls


def rows_as_context(count):
    return torch.arange(count).view(-1, 1, 1).float()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_loss_is_the_squared_error_of_what_the_network_predicts(kind):
    clean = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    pipeline, _ = known(kind, clean)
    found = denoising_losses(pipeline, clean, rows_as_context(3), draws=5, seed=1)
    # The stand-in is off by the image's number where it predicts noise.
    wanted = [0, 1, 4] if kind == "epsilon" else [0, 0, 0]
    assert found == pytest.approx(wanted, abs=1e-5)


def test_all_images_meet_the_same_noises_at_times_over_the_whole_range(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    clean = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    pipeline, calls = known("epsilon", clean)
    denoising_losses(pipeline, clean, rows_as_context(5), draws=4, seed=1)
    assert [len(noise) for _, noise in calls] == [2] * 8 + [1] * 4
    for draw in range(4):
        at = calls[draw::4]
        assert {time * 4 // 1000 for time, _ in at} == {draw}
        every = torch.cat([noise for _, noise in at])
        torch.testing.assert_close(every, every[:1].expand_as(every), rtol=0, atol=2e-4)
    assert not torch.allclose(calls[0][1][0], calls[1][1][0], atol=0.1)


def test_rows_of_a_client_follow_from_the_losses():
    """Client 1 of two: its adapter lowers members' losses by 3 and the others' by 1."""
    base = np.array([5.0, 6.0, 5.0, 6.0])
    losses = {None: base, "b": base - [3, 3, 1, 1], "a": base - [0, 1, 0, 1]}
    rows = attacked(1, 2, losses.__getitem__, ["a", "b"])
    assert {(row["kind"], row["client"]) for row in rows} == {("membership", 1)}
    assert {row["name"]: row["value"] for row in rows} == {
        "auc": 1,
        "auc_standard_error": 0,
        "tpr_at_5_fpr": 1,
        "drop_members": 3,
        "drop_non_members": 1,
        "members": 2,
        "non_members": 2,
        "auc_base": 0.5,
        "auc_other": 0.5,
    }


@pytest.mark.slow
def test_an_overfitted_adapter_gives_its_members_away_and_an_idle_one_does_not(tmp_path):
    pipeline = load(MODEL, torch.float32, "cpu")
    prompts = [f"a photo of a {name}" for name in ("face", "plant", "meal", "vehicle")]
    patches = stream(0, "private").integers(0, 256, (2, 2, 8, 4, 4, 3), dtype=np.uint8)
    drawn, labels = patches.repeat(8, 3).repeat(8, 4), np.arange(8) % 4
    clients = [
        Client(number, Part(real, labels), Part(held_out, labels), Part(real, labels))
        for number, (real, held_out) in enumerate(drawn)
    ]
    chosen = {
        "rank": 16,
        "alpha": 16.0,
        "targets": ["to_q", "to_k", "to_v", "to_out.0"],
        "batch_size": 8,
        "lr": 0.005,
        "weight_decay": 0.0,
        "clip": 1.0,
        "save_every": 1000,
    }
    adapters = [
        tune(
            Lora(steps=steps, **chosen),
            pipeline,
            clients[number].real.images,
            labels,
            embedded(pipeline, prompts),
            seed=0,
            client=number,
            checkpoint=Checkpoint(tmp_path / str(number), ""),
            tell=lambda step, note: None,
        )[0]
        for number, steps in enumerate((200, 1))
    ]
    rows = membership(
        clients, pipeline, adapters, prompts, resolution=32, most=100, draws=8, seed=0
    )
    found = {(row["client"], row["name"]): row["value"] for row in rows}
    assert found[0, "members"] == found[0, "non_members"] == 8
    assert found[0, "auc"] > 0.95
    assert found[0, "drop_members"] > 1.5 * found[0, "drop_non_members"]
    for client, control in ((1, "auc"), (0, "auc_base"), (0, "auc_other"), (1, "auc_other")):
        assert abs(found[client, control] - 0.5) < 2 * standard_error(0.5, 8, 8)
