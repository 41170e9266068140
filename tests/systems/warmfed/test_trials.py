"""Adapters of other ranks, and one that knows its images by heart: what is said of them."""

import numpy as np
import pytest
from contexts import context
from miniature import untrained
from safetensors.numpy import save_file
from tiny_clients import CLASSES, quiet, settings

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import sha256_file, write_json
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import load as load_data
from fedgenbench.data.partition import DirichletSettings, make_partition
from fedgenbench.images.adapters import attached
from fedgenbench.images.lora import tune
from fedgenbench.images.pipeline import save
from fedgenbench.systems.warmfed.examination import Part
from fedgenbench.systems.warmfed.membership import denoising_losses, latents_of
from fedgenbench.systems.warmfed.settings import TrialSettings
from fedgenbench.systems.warmfed.system import TRIALS
from fedgenbench.systems.warmfed.trials import Bench, of_rank, run, some_of_each

TRIED = {
    "client": 0,
    "ranks": [1, 4],
    "memorised": {"per_class": 1, "rank": 4, "steps": 30, "lr": 2e-2, "drawn": 2},
}


def made_up(folder):
    """Pictures 32×32 of three classes, of eight coarse patches each."""
    folder.mkdir()
    patches = stream(0, "trials").integers(0, 256, (2, 18, 8, 8, 3), dtype=np.uint8)
    train, test = patches.repeat(4, 2).repeat(4, 3)
    labels = np.arange(18) % 3
    arrays = {"train_images": train, "train_labels": labels}
    arrays |= {"test_images": test, "test_labels": labels}
    save_file(arrays, folder / "data.safetensors")
    card = {"name": "tiny", "title": "Tiny", "classes": CLASSES, "domains": []}
    write_json(folder / "card.json", card | {"sha256": sha256_file(folder / "data.safetensors")})


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trials")
    made_up(folder / "data")
    split = DirichletSettings(
        scheme="dirichlet", clients=1, alpha=5.0, min_samples=2, valid_fraction=0.0
    )
    make_partition(load_data(folder / "data"), split, 0).save(folder / "partition.json")
    save(untrained(), folder / "model")
    examined = {"members": 6, "draws": 2, "shown": 1}
    chosen = settings(folder / "model", trials=TRIED, examine=examined)
    place = context(
        folder / "job",
        TRIALS,
        CLASSES,
        data=folder / "data",
        partition_file=folder / "partition.json",
        settings={"synthesis": chosen.model_dump(include=set(TrialSettings.model_fields))},
    )
    return Bench(place, TrialSettings.model_validate(place.settings["synthesis"]))


@pytest.fixture(scope="module")
def said(bench):
    usual = bench.tuned("usual", bench.real, bench.settings.lora)
    path = bench.context.data.parent / "adapter.safetensors"
    usual.save(path)
    bench.context.inputs["adapter"] = [path]
    content, line = run(bench.context)
    assert content["client"] == 0
    return content["rows"], line


def test_all_ranks_are_tuned_alike_and_weigh_what_they_are(said, bench):
    rows, line = said
    assert list(rows) == ["rank_1", "rank_2", "rank_4", "memorised", "base"]
    sizes = {row: rows[row]["bytes"] for row in ("rank_1", "rank_2", "rank_4")}
    assert sizes["rank_2"] == 2 * sizes["rank_1"]
    assert sizes["rank_4"] == 4 * sizes["rank_1"]
    assert {rows[row]["images"] for row in sizes} == {18}
    assert rows["memorised"]["images"] == 3
    scaled = of_rank(bench.settings.lora, 4)
    assert (scaled.rank, scaled.alpha) == (4, 6.0)  # 3 of rank 2
    assert scaled.model_copy(update={"rank": 2, "alpha": 3.0}) == bench.settings.lora
    assert f"memorised {rows['memorised']['auc']:.2f}" in line


def test_the_fall_is_a_share_of_the_base_model_s_loss(said, bench):
    """Worked out again from the losses themselves, all 18 of a kind being taken where members allow."""
    adapter, _, _ = tune(
        of_rank(bench.settings.lora, 1),
        bench.pipeline,
        bench.real.images,
        bench.real.labels,
        bench.embeddings,
        seed=0,
        client=0,
        checkpoint=Checkpoint(bench.context.data / "again", ""),
        tell=quiet,
    )
    wide = bench.settings.model_copy(
        update={"examine": bench.settings.examine.model_copy(update={"members": 18})}
    )
    found = Bench(bench.context, wide).judged(adapter, bench.real)
    for name, part in (("seen", bench.real), ("held_out", bench.held_out)):
        latents, labels = latents_of(bench.pipeline, part.images), part.labels
        noise = torch_seed(0, "trials", "denoising")
        losses = []
        for each in (None, adapter):
            if each is None:
                values = denoising_losses(
                    bench.pipeline, latents, bench.embeddings[labels], 2, noise
                )
            else:
                with attached(bench.pipeline, each):
                    values = denoising_losses(
                        bench.pipeline, latents, bench.embeddings[labels], 2, noise
                    )
            losses.append(values.mean())
        assert found[f"fall_{name}"] == pytest.approx(1 - losses[1] / losses[0], abs=1e-5)
    # The same adapter was judged on six of each in the job.
    assert said[0]["rank_1"]["fall_seen"] == pytest.approx(found["fall_seen"], abs=0.05)


def test_longer_tuning_lowers_the_loss_further_and_images_are_compared_with_those_few(said):
    """An untrained U-Net learns no image by heart; test_membership.py has the trained one, which does."""
    rows, _ = said
    assert rows["memorised"]["fall_seen"] > 0.05 > rows["rank_2"]["fall_seen"]
    assert {"distance", "copied"} == rows["base"].keys()
    for row in ("memorised", "rank_2", "base"):
        assert 0 <= rows[row]["copied"] <= 1
        assert rows[row]["distance"] > 0


def test_some_of_each_class_are_drawn_by_lot():
    labels = np.array([0, 0, 0, 1, 1, 2])
    part = Part(np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1), labels)
    found = some_of_each(part, 2, seed=0)
    assert np.bincount(found.labels).tolist() == [2, 2, 1]
    kept = found.images.ravel()
    assert len(set(kept.tolist())) == 5
    np.testing.assert_array_equal(labels[kept], found.labels)
