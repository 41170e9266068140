"""Jobs as Snakemake starts them, with an untrained miniature."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from snakemake.iocontainers import InputFiles, OutputFiles, Params
from tiny_clients import CLASSES, settings, untrained

from fedgenbench.core.files import sha256_file, write_json
from fedgenbench.core.reports import MEASURED, whole_report
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import load
from fedgenbench.data.partition import DirichletSettings, make_partition
from fedgenbench.images.adapters import Adapter
from fedgenbench.images.generated import load_images
from fedgenbench.images.pipeline import save
from fedgenbench.systems.warmfed.settings import AdapterSettings, PromptSettings, SamplingSettings
from fedgenbench.systems.warmfed.system import ADAPTER, IMAGES, PROMPTS

SCRIPT = Path(__file__).parents[3] / "workflow_scripts/job.py"


def made_up(folder):
    """Grey images 28×28 of three classes."""
    folder.mkdir()
    draw = stream(0, "scripts")
    arrays = {
        "train_images": draw.integers(0, 256, (24, 28, 28, 1)).astype(np.uint8),
        "train_labels": np.arange(24) % 3,
        "test_images": draw.integers(0, 256, (6, 28, 28, 1)).astype(np.uint8),
        "test_labels": np.arange(6) % 3,
    }
    save_file(arrays, folder / "data.safetensors")
    card = {"name": "tiny", "title": "Tiny", "classes": CLASSES, "domains": []}
    write_json(folder / "card.json", card | {"sha256": sha256_file(folder / "data.safetensors")})
    return folder


def start(folder, kind, settings_type, inputs=(), client=None):
    """Runs a job of ``kind`` as its rule does; its files come to a folder of its name."""
    chosen = settings(folder / "model").model_dump(include=set(settings_type.model_fields))
    decides = {"synthesis": chosen, "seed": 5, "model": "m"}
    if client is not None:
        decides["client"] = client
    files = {name: str(folder / kind.name / file) for name, file in kind.files.items()}
    given = {"data": str(folder / "data" / "data.safetensors"), "partition": []} | dict(inputs)
    if kind.partition:
        given["partition"] = [str(folder / "partition.json")]
    params = {
        "run": kind.run,
        "name": "all" if client is None else str(client),
        "settings": decides,
        "checkpoint": str(folder / "checkpoints" / kind.name),
    }
    snakemake = SimpleNamespace(
        rule=kind.name,
        log=[str(folder / f"{kind.name}.log")],
        input=InputFiles(fromdict=given),
        output=OutputFiles(fromdict=files),
        params=Params(fromdict=params),
        wildcards=SimpleNamespace(experiment="exp", seed="5", digest="0123456789"),
        config={"device": "cpu"},
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": snakemake})


def report(folder):
    content = whole_report(folder / "metrics.json", "0123456789")
    assert content["device"] == "cpu"
    assert not MEASURED & json.loads((folder / "metrics.json").read_text()).keys()
    return content


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """All three jobs, the first client's; the folder of what they made."""
    folder = tmp_path_factory.mktemp("jobs")
    dataset = load(made_up(folder / "data"))
    split = DirichletSettings(
        scheme="dirichlet", clients=2, alpha=5.0, min_samples=2, valid_fraction=0.2
    )
    make_partition(dataset, split, 0).save(folder / "partition.json")
    save(untrained(), folder / "model")
    start(folder, ADAPTER, AdapterSettings, client=1)
    adapter = {"adapter": [str(folder / "adapter" / "adapter.safetensors")]}
    start(folder, IMAGES, SamplingSettings, adapter, client=1)
    start(folder, PROMPTS, PromptSettings)
    return folder


def test_an_adapter_comes_from_the_clients_training_images_alone(played):
    found = report(played / "adapter")
    rows = json.loads((played / "partition.json").read_text())["clients"][1]
    adapter = Adapter.load(played / "adapter/adapter.safetensors")
    assert found["images"] == len(rows["train"]) > 0
    assert len(rows["valid"]) > 0
    assert found["client"] == adapter.client == 1
    assert found["classes"] == list(adapter.classes) == sorted({row % 3 for row in rows["train"]})
    assert found["parameters"] * 2 == found["adapter_bytes"] == adapter.adapter_bytes
    assert found["embedding_bytes"] == adapter.embedding_bytes
    assert [entry["step"] for entry in found["history"]] == [2, 4, 5]
    assert found["settings"]["seed"] == 5
    assert found["notes"] == []


def test_the_images_are_of_the_clients_classes(played):
    images, labels, style = load_images(played / "images/images.safetensors")
    found = report(played / "images")
    classes = Adapter.load(played / "adapter/adapter.safetensors").classes
    assert labels.tolist() == list(np.repeat(classes, 3))
    assert images.shape == (len(labels), 32, 32, 3)
    assert set(style) == {1}
    assert found["images"] == len(images)
    assert found["client"] == 1
    assert found["shards_drawn"] == len(classes)
    assert found["seconds_per_image"] > 0


def test_the_prompts_give_every_class_in_every_style(played):
    images, labels, style = load_images(played / "prompts/images.safetensors")
    assert images.shape == (12, 32, 32, 3)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert style.tolist() == [0] * 6 + [1] * 6
    assert report(played / "prompts")["images"] == 12


def test_nothing_is_left_to_resume_from(played):
    assert not list((played / "checkpoints").iterdir())
