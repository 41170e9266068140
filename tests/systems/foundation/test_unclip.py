"""The miniature unCLIP: what it starts from, what it learns from, what is trained, what is said of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature import pool, untrained
from miniature_unclip import WIDTH, denoiser, pipeline, settings
from safetensors.torch import load_file

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import read_json
from fedgenbench.images.folder import part_files
from fedgenbench.systems.foundation import unclip
from fedgenbench.systems.foundation.unclip_settings import UnCLIP, UnCLIPPlan

POOL = pool()
MODEL = Path(__file__).parents[3] / "models/unclip"
FOUNDATION = Path(__file__).parents[3] / "models/foundation"


class Killed(Exception):
    pass


def quiet(done, note):
    pass


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def trained(folder, chosen=None, base=None, tell=quiet):
    chosen, base = chosen or settings(), base or untrained()
    towers, seen = unclip.train_encoder(
        chosen, POOL, base, "cpu", checkpoint=Checkpoint(folder / "a", "one"), tell=tell
    )
    found, history = unclip.train_conditioning(
        chosen,
        POOL,
        base,
        towers.vision,
        "cpu",
        checkpoint=Checkpoint(folder / "b", "one"),
        tell=tell,
    )
    return towers, found, seen + history


def inputs(count=3):
    generator = seeded(1)
    return {
        "sample": torch.randn(count, 4, 8, 8, generator=generator),
        "timestep": torch.tensor([10, 500, 900])[:count],
        "encoder_hidden_states": torch.randn(count, 16, 16, generator=generator),
    }


def test_untrained_layers_leave_the_foundation_model_as_it_is():
    base = untrained()
    unet = denoiser(base, strength=0).unet
    condition = torch.randn(3, 2 * WIDTH, generator=seeded())
    with torch.no_grad():
        assert torch.equal(
            unet(**inputs(), class_labels=condition).sample, base.unet(**inputs()).sample
        )
        other = denoiser(base).unet(**inputs(), class_labels=condition).sample
    assert (other - base.unet(**inputs()).sample).abs().max() > 1e-3


def test_the_encoder_comes_from_its_seed_alone():
    chosen = settings().encoder
    one = unclip.image_encoder(chosen, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        again = unclip.image_encoder(chosen, 1)
    other = unclip.image_encoder(chosen, 2)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    token = "vision_model.embeddings.class_embedding"
    assert not torch.equal(one.state_dict()[token], other.state_dict()[token])


def cross_entropy(logits, target):
    logits = logits - logits.max(1, keepdims=True)
    return -(target * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1).mean()


def test_the_contrastive_loss_against_numpy():
    a, b = torch.randn(2, 4, 6, generator=seeded()).double()
    numbers = torch.tensor([0, 1, 0, 2])
    same = numbers[:, None] == numbers
    found = unclip.contrastive(a, b, same, torch.tensor(3.0))
    x, y = (each.numpy() / np.linalg.norm(each.numpy(), axis=1, keepdims=True) for each in (a, b))
    target = same.numpy() / same.numpy().sum(1, keepdims=True)
    expected = (cross_entropy(3 * x @ y.T, target) + cross_entropy(3 * y @ x.T, target)) / 2
    assert found.item() == pytest.approx(expected)


def test_the_contrastive_loss_is_zero_where_only_partners_agree_and_log_n_where_all_do():
    points = torch.eye(4)
    same = torch.eye(4, dtype=torch.bool)
    scale = torch.tensor(50.0)
    assert unclip.contrastive(points, points, same, scale) < 1e-6
    equal = torch.ones(4, 4)
    assert unclip.contrastive(equal, equal, same, scale).item() == pytest.approx(np.log(4))


def test_conditions_are_the_pipelines_and_the_formula():
    model = pipeline()
    model_denoiser = unclip.Denoiser(untrained(), model.unet, model.image_normalizer)
    embeddings, noise = torch.randn(2, 5, WIDTH, generator=seeded())
    levels = torch.tensor([0, 200, 200, 500, 999])
    found = model_denoiser.conditions(embeddings, levels, noise)
    assert found.shape == (5, 2 * WIDTH)
    for row, level in enumerate(levels.tolist()):
        expected = model.noise_image_embeddings(embeddings, level, noise)[row]
        assert torch.allclose(found[row], expected, atol=1e-6)
    # The squared cosine of Nichol and Dhariwal (2021), eq. 17, with its cut at 0.999.
    at = np.arange(1001) / 1000
    share = np.cos((at + 0.008) / 1.008 * np.pi / 2) ** 2
    kept = np.cumprod(1 - np.minimum(1 - share[1:] / share[:-1], 0.999))[levels.numpy()][:, None]
    mean, std = (getattr(model.image_normalizer, name).detach().numpy() for name in ("mean", "std"))
    scaled = (embeddings.numpy() - mean) / std
    expected = (np.sqrt(kept) * scaled + np.sqrt(1 - kept) * noise.numpy()) * std + mean
    assert found[:, :WIDTH].numpy() == pytest.approx(expected, abs=1e-4)


def test_a_dropped_row_is_the_pipelines_unconditional_branch():
    model = pipeline()
    both = model._encode_image(
        None, "cpu", 2, 1, True, 300, seeded(), torch.ones(2, WIDTH)
    )  # the unconditional half first
    assert both.shape == (4, 2 * WIDTH)
    assert not both[:2].any()
    assert both[2:].all()

    seen = []
    found = denoiser()
    found.unet.register_forward_pre_hook(
        lambda module, args, given: seen.append(given["class_labels"]), with_kwargs=True
    )
    dropped = torch.tensor([True, False])
    with torch.no_grad():
        found.errors(
            torch.zeros(2, 4, 8, 8),
            torch.zeros(2, 16, dtype=torch.int64),
            torch.ones(2, WIDTH),
            torch.tensor([300, 300]),
            dropped,
            seeded(),
        )
    assert not seen[0][0].any()
    assert seen[0][1].all()


def changed(before, after):
    """Names of the tensors of a U-Net that are not as they were, by the layer."""
    moved = (name for name, tensor in before.items() if not torch.equal(tensor, after[name]))
    return {name.split(".")[-2] for name in moved}


def test_only_the_new_layers_and_the_projections_of_time_learn(tmp_path):
    base = untrained()
    before = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    text = {name: tensor.clone() for name, tensor in base.text_encoder.state_dict().items()}
    _, found, _ = trained(tmp_path, base=base)
    assert changed(before, found.unet.state_dict()) == {"time_emb_proj"}
    assert changed(before, base.unet.state_dict()) == set()
    assert changed(text, base.text_encoder.state_dict()) == set()
    assert found.unet.class_embedding.linear_2.weight.abs().max() > 0
    # Every block has one, else a part of the U-Net would not see the embedding.
    blocks = [m for m in found.unet.modules() if type(m).__name__ == "ResnetBlock2D"]
    assert len(unclip.time_projections(found.unet)) == len(blocks) > 0


def test_the_normalizer_has_the_mean_and_deviation_of_the_training_images(tmp_path):
    towers, found, _ = trained(tmp_path, settings(variants=1))
    own = unclip.embedded(
        towers.vision, unclip.to_tensor(POOL.part(held_out=False).of_a_class().images)
    )
    scaled = found.normalizer.scale(own)
    assert torch.allclose(scaled.mean(0), torch.zeros(WIDTH), atol=1e-4)
    assert torch.allclose(scaled.std(0), torch.ones(WIDTH), atol=1e-4)


@pytest.mark.parametrize("step", [3, 7])  # of the encoder, and of the layers
def test_a_killed_training_resumes_to_the_same_bits(step, tmp_path):
    calls = []

    def kill(done, note):
        calls.append(done)
        if len(calls) == step:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "killed", tell=kill)
    whole, resumed = trained(tmp_path / "whole"), trained(tmp_path / "killed")
    assert whole[2] == resumed[2]
    for one, other in ((whole[0], resumed[0]), (whole[1].unet, resumed[1].unet)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name


def test_training_lowers_the_loss_on_unseen_images(tmp_path):
    history = trained(tmp_path, settings(steps=24))[2]
    half = len(history) // 2
    for part in (history[:half], history[half:]):
        assert part[-1]["validation"] < part[0]["validation"]


@pytest.mark.parametrize("same_name", [True, False])
def test_other_embeddings_are_of_the_class_in_another_style(same_name):
    unseen = POOL.part(held_out=True).of_a_class()
    pairs = unclip._others(settings(), unseen, same_name).tolist()
    assert len(pairs) == len(unseen.names)
    for mine, other in pairs:
        assert unseen.labels[mine] == unseen.labels[other]
        assert unseen.styles[mine] != unseen.styles[other]
        assert (unseen.names[mine] == unseen.names[other]) == same_name


def test_the_evidence_is_level_before_the_new_layers_learn_and_json(tmp_path):
    towers = unclip.Towers(unclip.image_encoder(settings().encoder, 1), 16, WIDTH, 2)
    found = unclip.evidence(settings(), POOL, towers, denoiser(strength=0))
    json.dumps(found, allow_nan=False)
    assert found["encoder"]["class_chance"] == 1 / 2
    for row in found["levels"].values():
        assert row["own"] == pytest.approx(found["foundation"], rel=0.2)  # other noise
        assert row["other_style_same_name"]["difference"] == 0
        assert row["other_style_other_name"]["difference"] == 0
    random = unclip.evidence(settings(), POOL, towers, denoiser(strength=1))
    assert random["levels"]["0"]["other_style_other_name"]["difference"] != 0


def test_an_embedding_in_which_an_image_knows_itself_is_recognised():
    """The encoder's numbers, where the vision tower gives each image its own direction."""
    unseen = POOL.part(held_out=True).of_a_class()
    views = torch.eye(len(unseen.names), dtype=torch.float32)

    class Given(torch.nn.Module):
        device = "cpu"

        def forward(self, pixels):
            return type("Out", (), {"image_embeds": views[: len(pixels)]})()

    towers = unclip.Towers(Given(), 16, len(views), 2)
    found = unclip._recognised(settings(), unseen, towers, untrained(), views)
    assert found["view_accuracy"] == 1
    assert found["view_chance"] == 1 / len(views)
    assert found["caption_chance"] == 1 / len(
        {*zip(unseen.labels, unseen.names, unseen.kinds, strict=True)}
    )


def test_what_moves_the_digest(tmp_path):
    model = tmp_path / "model"
    untrained().save_pretrained(model)
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"

    def made(chosen=None, among="pool", code="code"):
        chosen = (chosen or settings()).model_copy(update={"source": str(model)})
        return UnCLIPPlan(chosen, among, [code, "file"]).digest

    known = made()
    changed = [made(settings(steps=5)), made(among="other"), made(code="other")]
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    changed.append(made())
    assert len({known, *changed}) == 5


# --- The recorded model ---


def test_the_recorded_model_saw_what_the_foundation_saw_and_nothing_else():
    # Of that, test_artifact.py says that no client's style is in it, and no twin of a test picture.
    known = read_json(FOUNDATION / "provenance.json")["pool_sha256"]
    assert read_json(MODEL / "provenance.json")["pool_sha256"] == known


def test_the_recorded_files_are_those_of_its_record_and_of_the_foundation():
    found, known = part_files(MODEL), part_files(FOUNDATION)
    record = read_json(MODEL / "provenance.json")
    assert found == record["files"]
    assert known == record["foundation"]
    weights = [name for name in known if name.endswith(".safetensors") and "unet" not in name]
    assert len(weights) == 2
    assert all(found[name] == known[name] for name in weights)
    name = "unet/diffusion_pytorch_model.safetensors"
    ours, theirs = load_file(MODEL / name), load_file(FOUNDATION / name)
    assert changed(theirs, ours) == {"time_emb_proj"}
    assert {key.split(".")[0] for key in ours.keys() - theirs.keys()} == {"class_embedding"}


def test_the_recorded_settings_are_those_of_its_history():
    record = read_json(MODEL / "provenance.json")
    chosen = UnCLIP.model_validate(record["settings"])
    assert record["encoder_history"][-1]["step"] == chosen.encoder.training.steps
    assert record["history"][-1]["step"] == chosen.conditioning.training.steps


def test_what_is_new_in_the_recorded_model_is_small():
    new = [MODEL / "image_encoder", MODEL / "image_normalizer", MODEL / "unet"]
    assert sum(path.stat().st_size for part in new for path in part.rglob("*")) < 10e6


def test_the_recorded_embeddings_carry_class_and_style():
    evidence = read_json(MODEL / "evidence.json")
    encoder = evidence["encoder"]
    for kind in ("class", "caption", "view"):
        chance = encoder[f"{kind}_chance"]
        error = (chance * (1 - chance) / encoder["images"]) ** 0.5
        assert encoder[f"{kind}_accuracy"] > chance + 10 * error, kind
    for level in ("0", "200"):
        for kind in ("other_style_same_name", "other_style_other_name"):
            found = evidence["levels"][level][kind]
            assert found["difference"] < -2 * found["standard_error"], (level, kind)


def test_the_recorded_model_draws_in_the_colours_that_it_is_shown():
    from fedgenbench.images.memory import Batch
    from fedgenbench.systems.fedlmg.feddisc import features, load_unclip

    model = load_unclip(MODEL, torch.float32, "cpu")
    y, x = np.mgrid[:32, :32]
    disc = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 144
    shown = np.full((2, 32, 32, 3), 255, np.uint8)
    shown[0, disc], shown[1, disc] = (230, 40, 40), (40, 90, 220)
    images = model(
        prompt=["a photo of a face"] * 8,
        image_embeds=features(model, shown, Batch(2, "test")).repeat_interleave(4, 0),
        noise_level=0,
        num_inference_steps=6,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(row % 4) for row in range(8)],
        output_type="np",
    ).images
    redness = (images[..., 0] - images[..., 2]).mean((1, 2)).reshape(2, 4)
    assert (redness[0] > redness[1]).all(), redness
