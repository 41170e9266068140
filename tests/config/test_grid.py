"""What stands in the grid, and which paths move when a setting or a piece of code changes."""

import shutil
from pathlib import Path

import pytest

from fedgenbench.core import digest
from fedgenbench.plan.forecast import forecast, seconds
from fedgenbench.plan.grid import PRODUCTS, Grid, cuts
from fedgenbench.plan.settings import load
from fedgenbench.systems import base

REPOSITORY = Path(__file__).parents[2]
FASHION, CIFAR, EMOJI = "fashion_mnist-10", "cifar10-10", "emoji_domains"
# What says `like` follows.
FASHIONS, CIFARS = (FASHION, "fashion_mnist-tuning"), (CIFAR, "cifar10-tuning")
NOTHING, EVERYTHING = set(), {"collect", "tables", "figures", "report"}


def grids(loaded):
    _, scales = loaded
    return {name: Grid(settings, scales["paper"]) for name, settings in scales.items()}


@pytest.fixture(scope="module")
def grid():
    return grids(load(REPOSITORY / "params.yaml"))["embedded"]


def moved(before, after, of):
    """Keys of what both grids have, under another digest."""
    old, new = of(before), of(after)
    return {key for key in old.keys() & new.keys() if old[key] != new[key]}


def run_digests(grid):
    return {(run.experiment, run.method, run.seed): run.digest for run in grid.runs}


def partition_digests(grid):
    return {key: part.digest for key, part in grid.partitions.items()}


def prepared_digests(grid):
    return {key: part.digest for key, part in grid.prepared.items()}


def product_digests(grid):
    return {name: grid.product_digest(name) for name in PRODUCTS}


def of_experiment(*names):
    return lambda key: key[0] in names


def of_method(name):
    return lambda key: key[1] in (name, f"{name}_warm")


def none(key):
    return False


def every(key):
    return True


def of_many_rounds(key):
    """EmojiDomains, of few rounds, has a `score_rounds` of its own."""
    return not key[0].startswith(EMOJI)


# Setting -> (value, moved runs, moved partitions, moved data sets, moved products).
CHANGES = {
    f"experiments/{FASHION}/rounds": (7, of_experiment(*FASHIONS), none, NOTHING, EVERYTHING),
    f"experiments/{FASHION}/local/lr": (0.5, of_experiment(*FASHIONS), none, NOTHING, EVERYTHING),
    f"experiments/{FASHION}/engine": ("vmap", of_experiment(*FASHIONS), none, NOTHING, EVERYTHING),
    f"experiments/{FASHION}/model": ("mlp", of_experiment(*FASHIONS), none, NOTHING, EVERYTHING),
    f"experiments/{FASHION}/title": ("F", none, none, NOTHING, EVERYTHING),
    f"experiments/{FASHION}/note": ("n", none, none, NOTHING, EVERYTHING),
    f"experiments/{CIFAR}/partition/train_per_client": (
        500,
        of_experiment(*CIFARS),
        of_experiment(*CIFARS),
        NOTHING,
        EVERYTHING,
    ),
    "datasets/cifar10/limit_per_class": (
        600,
        of_experiment(*CIFARS),
        of_experiment(*CIFARS),
        {"cifar10"},
        EVERYTHING,
    ),
    "datasets/cifar10/mean": ([0.5] * 3, of_experiment(*CIFARS), none, NOTHING, EVERYTHING),
    "datasets/cifar10/augment": (False, of_experiment(*CIFARS), none, NOTHING, EVERYTHING),
    "datasets/cifar10/title": ("C", none, none, NOTHING, EVERYTHING),
    "methods/ditto/lam": (0.25, of_method("ditto"), none, NOTHING, EVERYTHING),
    "score_rounds": (2, of_many_rounds, none, NOTHING, EVERYTHING),
    "on_bad_upload": ("skip", every, none, NOTHING, EVERYTHING),
    "confidence": (0.9, none, none, NOTHING, EVERYTHING),
    # What runs on which device, and what it is guessed to cost, is no result.
    "device": ("cpu", none, none, NOTHING, NOTHING),
    "forecast/start_seconds": (9.0, none, none, NOTHING, NOTHING),
    # The report alone says what was cut against the paper scale.
    f"scales/paper/experiments/{FASHION}/rounds": (99, none, none, NOTHING, {"report"}),
    "scales/smoke/seeds": ([7], none, none, NOTHING, NOTHING),
}


@pytest.mark.parametrize("address", CHANGES)
def test_a_setting_moves_exactly_what_it_decides(raw, load_raw, address):
    before = grids(load_raw(raw))["embedded"]
    value, runs, partitions, prepared, products = CHANGES[address]
    *way, last = address.split("/")
    place = raw
    for key in way:
        place = place[key]
    assert place[last] != value
    place[last] = value
    after = grids(load_raw(raw))["embedded"]
    assert moved(before, after, run_digests) == {k for k in run_digests(before) if runs(k)}
    assert moved(before, after, partition_digests) == {
        key for key in partition_digests(before) if partitions(key)
    }
    assert moved(before, after, prepared_digests) == prepared
    assert moved(before, after, product_digests) == products


def test_more_seeds_and_methods_add_runs_and_move_none(raw, load_raw):
    before = grids(load_raw(raw))["embedded"]
    raw["seeds"] = [*raw["seeds"], 99]
    raw["experiments"][FASHION]["methods"].append("apfl")
    after = grids(load_raw(raw))["embedded"]
    assert moved(before, after, run_digests) == set()
    added = run_digests(after).keys() - run_digests(before).keys()
    assert added == {
        key for key in run_digests(after) if key[2] == 99 or key[:2] == (FASHION, "apfl")
    }
    assert {key[0] for key in added if key[1] == "apfl"} == {FASHION, EMOJI}
    assert moved(before, after, product_digests) == EVERYTHING


def test_the_same_run_has_one_path_in_every_scale(raw, load_raw):
    raw["scales"] = {}
    everywhere = grids(load_raw(raw))
    assert run_digests(everywhere["smoke"]) == run_digests(everywhere["paper"])


def test_paths_are_unique(grid):
    for paths in (
        [run.folder for run in grid.runs],
        [part.path for part in grid.partitions.values()],
        [part.folder for part in grid.prepared.values()],
    ):
        assert len(paths) == len(set(paths))
    expected = sum(len(e.methods) + len(e.ablations) for e in grid.settings.experiments.values())
    expected += sum(
        len(grid.settings.experiments[e].leave_one_out) for e, *_ in grid.left_out.values()
    )
    assert len(grid.runs) == expected * len(grid.settings.seeds)
    assert all(run.folder.endswith(f"seed{run.seed}-{run.digest}") for run in grid.runs)


def test_the_methods_of_a_repetition_share_their_partition(grid):
    shared = {}
    for run in grid.runs:
        base, *_ = grid.left_out.get(run.experiment, (run.experiment,))
        shared.setdefault((base, run.seed), set()).add(run.partition.path)
    assert {len(paths) for paths in shared.values()} == {1}
    assert len({next(iter(paths)) for paths in shared.values()}) == len(shared)


# Code -----------------------------------------------------------------------------------------------
@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of the code whose digests count; gives the function that edits it."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=skip)
    shutil.copytree(REPOSITORY / "workflow_scripts", tmp_path / "workflow_scripts", ignore=skip)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digest, "ROOT", tmp_path / "src/fedgenbench")
    settings = load(REPOSITORY / "params.yaml")

    def edited(path, text="\nEDITED = 1\n"):
        before = grids(settings)["embedded"]
        before_products = product_digests(before)
        path = tmp_path / path
        path.parent.mkdir(exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
        after = grids(settings)["embedded"]
        products = {n for n, d in product_digests(after).items() if d != before_products[n]}
        return moved(before, after, run_digests), products, moved(before, after, prepared_digests)

    return edited


PACKAGE = "src/fedgenbench/"
NO_RESULT = [
    "plan/settings.py",
    "plan/grid.py",
    "models/registry.py",
    "core/gpu.py",
    "core/job.py",
    "core/memory.py",
    "core/progress.py",
    "core/provenance.py",
    "commands/restore.py",
    "federated/methods/brand_new.py",
]


@pytest.mark.parametrize("module", NO_RESULT)
def test_code_that_decides_no_result_moves_nothing(code, module):
    assert code(PACKAGE + module) == (set(), set(), set())


@pytest.mark.parametrize("module", ["federated/rounds.py", "core/streams.py", "core/digest.py"])
def test_a_comment_or_a_blank_line_moves_nothing(code, module):
    assert code(PACKAGE + module, "\n\n# a remark\n") == (set(), set(), set())


def test_a_method_moves_its_own_runs(code, grid):
    runs, products, data = code(PACKAGE + "federated/methods/ditto.py")
    assert runs == {key for key in run_digests(grid) if of_method("ditto")(key)}
    assert products == EVERYTHING
    assert data == set()


def test_a_model_moves_the_runs_that_use_its_file(code, grid):
    runs, _, _ = code(PACKAGE + "models/mlp.py")
    assert runs == set()
    runs, _, _ = code(PACKAGE + "models/cnn.py")
    assert runs == set(run_digests(grid))


def test_another_class_for_a_model_moves_its_runs(grid, monkeypatch):
    from fedgenbench.plan.grid import MODELS

    monkeypatch.chdir(REPOSITORY)
    before = Grid(grid.settings)
    monkeypatch.setitem(MODELS, "bn_cnn", (MODELS["bn_cnn"][0], "FedPACNet"))
    after = Grid(grid.settings)
    assert moved(before, after, run_digests) == {
        key for key in run_digests(grid) if key[0].startswith(EMOJI)
    }


@pytest.mark.parametrize("file", ["federated/rounds.py", "federated/server.py", "core/streams.py"])
def test_the_engine_moves_every_run(code, grid, file):
    runs, products, _ = code(PACKAGE + file)
    assert runs == set(run_digests(grid))
    assert products == EVERYTHING


@pytest.mark.parametrize(
    ("file", "products"),
    [
        ("src/fedgenbench/report/figures.py", {"figures", "report"}),
        ("src/fedgenbench/report/document.py", {"report"}),
        ("src/fedgenbench/report/collect.py", EVERYTHING),
        ("workflow_scripts/tables.py", {"tables"}),
        ("workflow_scripts/report.py", {"report"}),
    ],
)
def test_what_shows_results_moves_no_run(code, file, products):
    assert code(file) == (set(), products, set())


@pytest.mark.parametrize(
    ("file", "products"),
    [
        ("table.tex", {"tables", "figures", "report"}),
        ("report.html", {"report"}),
        ("report.typ", {"report"}),
    ],
)
def test_a_template_moves_what_is_written_with_it(code, file, products):
    moved_runs, moved_products, _ = code(f"src/fedgenbench/report/templates/{file}", "\n")
    assert moved_runs == set()
    assert moved_products == products


def test_a_data_file_of_the_package_moves_what_is_prepared_with_it(code, grid):
    _, _, data = code("src/fedgenbench/data/emoji_classes.json", "\n")
    assert "emoji_domains" in data


def test_a_new_place_to_fetch_from_moves_nothing_and_another_pin_does(grid, monkeypatch):
    from fedgenbench.plan import grid as module

    monkeypatch.chdir(REPOSITORY)
    before, real = Grid(grid.settings), module.source_of
    mirror = [{"kind": "http", "archives": {}}]
    monkeypatch.setattr(module, "source_of", lambda name: real(name) | {"sources": mirror})
    assert prepared_digests(Grid(grid.settings)) == prepared_digests(before)
    monkeypatch.setattr(module, "source_of", lambda name: real(name) | {"files": {"a": "0"}})
    assert moved(before, Grid(grid.settings), prepared_digests) == set(grid.prepared)


# Forecast and notes -------------------------------------------------------------------------------
def test_the_forecast_grows_with_the_work(raw, load_raw):
    before = grids(load_raw(raw))["embedded"]
    raw["experiments"][FASHION]["rounds"] *= 2
    after = grids(load_raw(raw))["embedded"]
    one, two = before.runs[0], after.runs[0]
    start = before.settings.forecast.start_seconds
    assert one.experiment == FASHION
    assert seconds(before, one) > start
    assert seconds(after, two) - start == pytest.approx(2 * (seconds(before, one) - start), rel=0.1)


def test_the_forecast_is_a_table_with_a_row_per_experiment(grid):
    lines = forecast(grid).splitlines()
    assert [line.split()[0] for line in lines] == ["experiment", *grid.settings.experiments, "all"]
    minutes = [float(line.split()[-1]) for line in lines[1:]]
    assert minutes[-1] == pytest.approx(sum(minutes[:-1]), abs=0.2)
    assert all(minute > 0 for minute in minutes)
    assert int(lines[-1].split()[1]) == len(grid.runs)


def test_cuts_name_what_differs_from_the_paper_scale(raw, load_raw):
    _, scales = load_raw(raw)
    rows = cuts(scales["embedded"], scales["paper"])
    found = {row["setting"]: (row["here"], row["paper"]) for row in rows}
    here = scales["embedded"].experiments[FASHION].rounds
    there = scales["paper"].experiments[FASHION].rounds
    assert found[f"{FASHION}: rounds"] == (str(here), str(there))
    assert cuts(scales["paper"], scales["paper"]) == []


def test_an_experiment_that_the_paper_scale_lacks_has_no_cuts(raw, load_raw):
    raw["scales"] = {
        "smoke": {"experiments": {"extra": raw["experiments"][FASHION] | {"title": "E"}}}
    }
    _, scales = load_raw(raw)
    assert "extra" in scales["smoke"].experiments
    assert not [row for row in cuts(scales["smoke"], scales["paper"]) if "extra" in row["setting"]]


# Optional data ------------------------------------------------------------------------------------
def test_experiments_without_their_data_are_left_out_and_named(raw, load_raw, monkeypatch):
    from fedgenbench.plan import grid as module

    monkeypatch.setattr(module, "missing", lambda name: "gone" if name == "emnist" else None)
    without = grids(load_raw(raw))["embedded"]
    assert "emnist-10" not in {run.experiment for run in without.runs}
    assert without.absent_notes()["emnist-10"]["reason"] == "no data"
    assert without.absent_notes()["cifar10-100"] == {
        "title": "CIFAR-10, 100 clients",
        "dataset": "CIFAR-10",
        "clients": 100,
        "warmfed": False,
        "role": "main",
        "leave_one_out": False,
        "reason": "not run at this scale",
    }
    monkeypatch.setattr(module, "missing", lambda name: None)
    with_it = grids(load_raw(raw))["embedded"]
    assert "emnist-10" in {run.experiment for run in with_it.runs}
    assert "emnist-10" not in with_it.absent_notes()
    assert moved(without, with_it, run_digests) == set()
    assert moved(without, with_it, product_digests) == EVERYTHING


def test_the_studies_of_an_experiment_follow_their_method(raw, load_raw):
    def digests(grid):
        return {
            (study.kind, study.experiment, study.seed, study.name): study.digest
            for study in grid.of_kind("uploads", "fit", "newcomers")
        }

    before = grids(load_raw(raw))["embedded"]
    kinds = {key[:2] for key in digests(before)}
    assert kinds == {(k, e) for k in ("uploads", "fit", "newcomers") for e in (FASHION, CIFAR)}
    raw["methods"]["ditto"]["lam"] = 0.25
    assert moved(before, grids(load_raw(raw))["embedded"], digests) == set()
    raw["experiments"][FASHION]["oneshot"]["fits"]["linear"]["rows"][0]["eta"] = 0.8
    after = grids(load_raw(raw))["embedded"]
    # CIFAR-10's rows are the same list in the file.
    assert {key[0] for key in moved(before, after, digests)} == {"fit"}
    raw["methods"]["pfedgpa"]["buffer"] = 9
    assert moved(after, grids(load_raw(raw))["embedded"], digests) == set(digests(after))


@pytest.mark.parametrize("system", ["pfedgpa", "warmfed", "fedlmg"])
@pytest.mark.parametrize(
    ("file", "products"), [("claims.yaml", {"report"}), ("published.yaml", {"tables", "report"})]
)
def test_a_papers_file_moves_what_shows_it(code, file, products, system, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "FOLDER", tmp_path / "src/fedgenbench/systems")
    path = f"src/fedgenbench/systems/{system}/{file}"
    assert code(path, "# edited\n") == (set(), products, set())


# Synthetic images ---------------------------------------------------------------------------------
def study_digests(grid):
    return {
        (s.kind, s.experiment, s.seed, s.client, s.folder[: -len(s.digest)]): s.digest
        for s in grid.studies.values()
    }


ADAPTED, BOTH = {"warmfed", "fedavg_warm"}, {"warmfed", "fedavg_warm", "fgl"}
# Setting -> (value, moved kinds of studies, and which of BOTH's rows move).
SYNTHESIS = [
    (("lora", "steps"), 7, {"adapter", "images", "warm", "examined"}, ADAPTED),
    (("per_class",), 3, {"images", "warm", "examined"}, ADAPTED),
    (("prompts", "per_class"), 3, {"prompts", "warm", "examined"}, {"fgl"}),
    (("sampler", "steps"), 4, {"images", "prompts", "warm", "examined"}, BOTH),
    (("warm_start", "epochs"), 2, {"warm"}, BOTH),
    (("examine", "shown"), 5, {"examined"}, set()),
    (("subset",), 0.5, set(), {"warmfed", "fgl"}),
]


@pytest.mark.parametrize(("address", "value", "kinds", "rows"), SYNTHESIS)
def test_a_setting_of_the_synthesis_moves_what_it_decides(
    raw, load_raw, address, value, kinds, rows
):
    before = grids(load_raw(raw))["embedded"]
    place = raw["experiments"][EMOJI]["synthesis"]
    for key in address[:-1]:
        place = place[key]
    place[address[-1]] = value
    after = grids(load_raw(raw))["embedded"]
    assert {key[0] for key in moved(before, after, study_digests)} == kinds
    changed = {key[1] for key in moved(before, after, run_digests)}
    assert changed & BOTH == rows
    assert "fedavg" not in changed


def test_a_domain_that_is_left_out_gives_no_images(grid):
    for name, (_, number, _) in grid.left_out.items():
        runs = [run for run in grid.runs if run.experiment == name]
        assert {run.settings["without"] for run in runs} == {number}
        (drawing,) = [run for run in runs if run.seed == 0 and run.images]
        assert number not in {study.client for study in drawing.images}
        assert len(drawing.images) == 5
        assert drawing.warm[0].after == drawing.images
        whole = next(r for r in grid.runs if (r.experiment, r.method) == (base, "warmfed"))
        # The other clients' images are made once.
        assert [image for image in whole.images if image.client != number] == list(drawing.images)


def test_rows_start_where_they_say(grid):
    starts = {run.method: run for run in grid.runs if run.experiment == EMOJI and run.seed == 0}
    assert not starts["fedavg"].warm
    assert not starts["fedavg"].images
    assert starts["fedavg_warm"].warm == starts["warmfed"].warm
    assert not starts["fedavg_warm"].images
    assert starts["fedavg_warm"].adapters == starts["warmfed"].adapters
    assert len(starts["warmfed"].adapters) == 6
    assert not starts["warmfed_scratch"].warm
    assert starts["warmfed_scratch"].images == starts["warmfed"].images
    assert starts["fgl"].warm[0].name == "prompts"
