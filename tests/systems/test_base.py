"""A kind of job is said once, and a block's hooks name the keys that they speak of."""

import ast
import re
from pathlib import Path

import pytest

from fedgenbench.core.digest import module_file
from fedgenbench.plan.settings import BLOCKS, load
from fedgenbench.systems.base import Block, JobKind, Place, kinds, maker_of_images, systems

REPOSITORY = Path(__file__).parents[2]
ONE_SHOT = "emoji_domains-oneshot"
AN_EXPERIMENT = {"pfedgpa": "fashion_mnist-10", "warmfed": "emoji_domains", "fedlmg": ONE_SHOT}


# Kinds of jobs --------------------------------------------------------------------------------------
def test_a_kind_gives_its_files_its_row_and_its_module():
    kind = JobKind("fit", "fedgenbench.systems.toy.fit:run", {"model": "model.safetensors"})
    assert kind.files == {
        "metrics": "metrics.json",
        "run": "run.json",
        "model": "model.safetensors",
    }
    assert kind.row("linear") == "fit-linear"
    assert kind.module == "fedgenbench.systems.toy.fit"
    assert JobKind("federate", "a:run", plain=True).row("fedavg") == "fedavg"


@pytest.mark.parametrize("name", ["main", "0", "fedavg_ft", "adapter", *kinds()])
def test_a_row_is_of_one_kind(name):
    for kind in kinds().values():
        row = kind.row(name)
        assert [k.name for k in kinds().values() if re.fullmatch(k.rows, row)] == [kind.name]


def test_names_of_kinds_and_places_of_systems_are_distinct():
    assert len(kinds()) == sum(len(system.kinds) for system in systems().values())
    orders = [system.order for system in systems().values()]
    assert orders == sorted(set(orders))
    assert maker_of_images().name == "warmfed"


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_a_kind_names_a_function_and_outputs_that_there_are(kind):
    module, _, function = kind.run.partition(":")
    tree = ast.parse(module_file(module).read_text(encoding="utf-8"))
    named = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [each.arg for each in named[function].args.args] == ["context"]
    assert set(kind.pictures) <= set(kind.outputs)
    assert not {"data", "partition"} & set(kind.inputs)  # every rule has inputs of these names


# Blocks ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def settings():
    return load(REPOSITORY / "params.yaml")[1]["embedded"]


def place_of(settings, system, **changes):
    """An experiment with the system's block, some of whose values are replaced unseen."""
    name = AN_EXPERIMENT[system]
    experiment = settings.experiments[name]
    block = experiment.block(system).model_copy(update=changes)
    return block, Place(name, experiment.model_copy(update={system: block}), settings)


def test_a_block_that_says_nothing_asks_nothing():
    block = Block()
    assert (list(block.problems(None)), list(block.client_problems(None))) == ([], [])
    assert (block.models(), block.loaded(), list(block.missing("a")), block.seconds(None)) == (
        *({}, {}, []),
        0.0,
    )


@pytest.mark.parametrize("system", BLOCKS)
def test_a_good_block_has_no_problem(settings, system):
    block, place = place_of(settings, system)
    assert [*block.problems(place), *block.client_problems(place)] == []


def changed(part, **values):
    return part.model_copy(update=values)


# System, what its block says -> the keys below the block that its sentences begin with.
PROBLEMS = [
    ("pfedgpa", lambda block: {"oneshot": None, "newcomers": None}, [""]),
    (
        "pfedgpa",
        lambda block: {"newcomers": changed(block.newcomers, share=0.9, steps=[51])},
        [".newcomers.share", ".newcomers.steps"],
    ),
    (
        "warmfed",
        lambda block: {
            "warm_start": changed(block.warm_start, batch_size=1),
            "lora": changed(block.lora, targets=["to_z"]),
        },
        [".warm_start.batch_size", ".lora.targets"],
    ),
    (
        "fedlmg",
        lambda block: {"sizes": [block.per_class], "ablation_per_class": 1, "baselines": False},
        [".sizes", ".ablation_per_class", ".rivals", ".multi_round"],
    ),
    (
        "fedlmg",
        lambda block: {
            "imagenet": "models",
            "ablations": {"main": {}, "more": {"no_such": 1}},
            "clients": changed(block.clients, models=["bn_cnn"], batch_size=1),
            "server": changed(block.server, model="resnet18"),
        },
        [".ablations", ".ablations.more.no_such", ".clients.batch_size", ".imagenet"],
    ),
]


@pytest.mark.parametrize(("system", "changes", "keys"), PROBLEMS)
def test_every_problem_begins_with_its_key(settings, monkeypatch, system, changes, keys):
    monkeypatch.chdir(REPOSITORY)
    block, _ = place_of(settings, system)
    block, place = place_of(settings, system, **changes(block))
    sentences = [*block.problems(place), *block.client_problems(place)]
    where = f"experiments.{AN_EXPERIMENT[system]}.{system}"
    assert [sentence.split(": ")[0] for sentence in sentences] == [where + key for key in keys]


def test_jobs_of_a_method_that_has_no_settings_are_refused(settings):
    block, place = place_of(settings, "pfedgpa")
    methods = {n: values for n, values in settings.methods.items() if n != "pfedgpa"}
    place = Place(place.name, place.experiment, changed(settings, methods=methods))
    (sentence,) = block.problems(place)
    assert sentence.startswith("experiments.fashion_mnist-10.pfedgpa: its jobs are of pfedgpa")


@pytest.mark.parametrize("system", BLOCKS)
def test_models_are_named_by_their_keys(settings, system):
    block, _ = place_of(settings, system)
    assert block.models().items() <= block.loaded().items()
    assert bool(block.models()) == (system != "pfedgpa")
    for key, source in block.loaded().items():
        value = block
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        assert value == source


def test_weights_that_are_not_there_are_missed(settings, tmp_path):
    block, _ = place_of(settings, "fedlmg", imagenet=str(tmp_path))
    block = changed(block, clients=changed(block.clients, models=["resnet18", "vgg16"]))
    block = changed(block, server=changed(block.server, model="vgg16"))
    (tmp_path / "vgg16.safetensors").touch()
    (sentence,) = block.missing("experiments.a.fedlmg")
    assert sentence.startswith(f"{tmp_path}/resnet18.pth: experiments.a.fedlmg.imagenet names")
    assert list(changed(block, imagenet=None).missing("experiments.a.fedlmg")) == []


def test_a_place_knows_its_clients_and_their_images(settings):
    _, place = place_of(settings, "pfedgpa")
    partition = place.experiment.partition
    assert place.sizes == (10, partition.train_per_client, partition.test_per_client)
    assert place.where == "experiments.fashion_mnist-10"
