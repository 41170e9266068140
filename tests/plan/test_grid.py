"""What stands in the grid, and which paths move when a setting or a piece of code changes."""

import shutil
from pathlib import Path

import pytest

from fedgenbench.core import digest
from fedgenbench.models.registry import MODELS
from fedgenbench.plan import grid as grid_module
from fedgenbench.plan import notes
from fedgenbench.plan.grid import PRODUCTS, Grid
from fedgenbench.plan.settings import load
from fedgenbench.systems import base as systems

REPOSITORY = Path(__file__).parents[2]
FASHION, CIFAR, EMOJI = "fashion_mnist-10", "cifar10-10", "emoji_domains"
# What says `like` follows.
TUNED = (FASHION, "fashion_mnist-tuning")
FASHIONS = (*TUNED, "fashion_mnist-rate-01", "fashion_mnist-rate-10")
HOSTILE = ("fashion_mnist-honest", "fashion_mnist-poisoned", "fashion_mnist-private")
CIFARS = (CIFAR, "cifar10-tuning", "cifar10-rate-02", "cifar10-rate-10")
# Those with few images a client say for themselves what they change.
FEW_FASHIONS = tuple(
    f"fashion_mnist-{name}"
    for name in ("100-mlp", "20-mlp", "5-mlp", "2-mlp", "20-wide", "20-disjoint")
)
FEW_CIFARS = ("cifar10-100-small", "cifar10-20-small")
NOTHING, EVERYTHING = set(), {"collect", "tables", "figures", "report"}


def grid_of(loaded, scale="embedded"):
    _, scales = loaded
    return Grid(scales[scale], scales["paper"])


@pytest.fixture(scope="module")
def grid():
    return grid_of(load(REPOSITORY / "params.yaml"))


def moved(before, after, of):
    """Keys of what both grids have, under another digest."""
    old, new = of(before), of(after)
    return {key for key in old.keys() & new.keys() if old[key] != new[key]}


def job_digests(grid):
    """Digest of every job by kind, experiment, name and seed."""
    return {
        (job.kind.name, job.experiment, job.name, job.seed): job.digest
        for job in grid.jobs.values()
    }


def run_digests(grid):
    """Those of methods' runs, by experiment, name and seed."""
    return {key[1:]: made for key, made in job_digests(grid).items() if key[0] == "federate"}


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
    f"experiments/{FASHION}/local/lr": (
        0.5,
        of_experiment(*TUNED, *FEW_FASHIONS),
        none,
        NOTHING,
        EVERYTHING,
    ),
    f"experiments/{FASHION}/engine": (
        "vmap",
        of_experiment(*FASHIONS, *HOSTILE),
        none,
        NOTHING,
        EVERYTHING,
    ),
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
        of_experiment(*CIFARS, *FEW_CIFARS),
        of_experiment(*CIFARS, *FEW_CIFARS),
        {"cifar10"},
        EVERYTHING,
    ),
    "variants/fedavg_trimmed/aggregation/trim": (
        0.3,
        of_method("fedavg_trimmed"),
        none,
        NOTHING,
        EVERYTHING,
    ),
    "variants/fedavg_private_16/privacy/noise_multiplier": (
        3.0,
        of_method("fedavg_private_16"),
        none,
        NOTHING,
        EVERYTHING,
    ),
    "experiments/fashion_mnist-poisoned/poisoned/factor": (
        -2.0,
        of_experiment("fashion_mnist-poisoned"),
        none,
        NOTHING,
        EVERYTHING,
    ),
    "datasets/cifar10/mean": (
        [0.5] * 3,
        of_experiment(*CIFARS, *FEW_CIFARS),
        none,
        NOTHING,
        EVERYTHING,
    ),
    "datasets/cifar10/augment": (
        False,
        of_experiment(*CIFARS, *FEW_CIFARS),
        none,
        NOTHING,
        EVERYTHING,
    ),
    "datasets/cifar10/title": ("C", none, none, NOTHING, EVERYTHING),
    "methods/ditto/lam": (0.25, of_method("ditto"), none, NOTHING, EVERYTHING),
    "score_rounds": (2, of_many_rounds, none, NOTHING, EVERYTHING),
    "on_bad_upload": ("skip", every, none, NOTHING, EVERYTHING),
    "upload_rms": (1e5, every, none, NOTHING, EVERYTHING),
    "confidence": (0.9, none, none, NOTHING, EVERYTHING),
    # What runs on which device, and what it is guessed to cost, is no result.
    "device": ("cpu", none, none, NOTHING, NOTHING),
    "forecast/start_seconds": (9.0, none, none, NOTHING, NOTHING),
    # The report alone says what was cut against the paper scale.
    f"scales/paper/experiments/{FASHION}/rounds": (99, none, none, NOTHING, {"report"}),
    "scales/smoke/seeds": ([7], none, none, NOTHING, NOTHING),
}


@pytest.mark.parametrize("address", CHANGES)
def test_a_setting_moves_exactly_what_it_decides(raw, load_raw, grid, address):
    value, runs, partitions, prepared, products = CHANGES[address]
    *way, last = address.split("/")
    place = raw
    for key in way:
        place = place[key]
    assert place[last] != value
    place[last] = value
    after = grid_of(load_raw(raw))
    assert moved(grid, after, run_digests) == {k for k in run_digests(grid) if runs(k)}
    assert moved(grid, after, partition_digests) == {
        key for key in partition_digests(grid) if partitions(key)
    }
    assert moved(grid, after, prepared_digests) == prepared
    assert moved(grid, after, product_digests) == products


def test_more_seeds_and_methods_add_runs_and_move_none(raw, load_raw, grid):
    raw["seeds"] = [*raw["seeds"], 99]
    raw["experiments"][FASHION]["methods"].append("apfl")
    after = grid_of(load_raw(raw))
    assert moved(grid, after, run_digests) == set()
    added = run_digests(after).keys() - run_digests(grid).keys()
    assert added == {
        key for key in run_digests(after) if key[2] == 99 or key[:2] == (FASHION, "apfl")
    }
    assert {key[0] for key in added if key[1] == "apfl"} == {FASHION, EMOJI}
    assert moved(grid, after, product_digests) == EVERYTHING


def test_the_same_job_has_one_path_in_every_scale(raw, load_raw):
    raw["scales"] = {}
    smoke, paper = (grid_of(load_raw(raw), scale) for scale in ("smoke", "paper"))
    assert job_digests(smoke) == job_digests(paper)


def test_paths_and_names_are_unique(grid):
    assert len(job_digests(grid)) == len(grid.jobs)
    runs = grid.of_kind("federate")
    for paths in (
        [job.metrics for job in grid.jobs.values()],
        [part.path for part in grid.partitions.values()],
        [part.folder for part in grid.prepared.values()],
    ):
        assert len(paths) == len(set(paths))
    expected = sum(len(e.methods) + len(e.ablations) for e in grid.settings.experiments.values())
    expected += sum(
        len(grid.settings.experiments[e].leave_one_out) for e, *_ in grid.left_out.values()
    )
    assert len(runs) == expected * len(grid.settings.seeds)
    assert all(folder == job.folder for folder, job in grid.jobs.items())


def test_inputs_are_files_of_jobs_of_the_same_grid(grid):
    files = {job.file(name) for job in grid.jobs.values() for name in job.kind.files}
    for job in grid.jobs.values():
        assert set(job.inputs) <= set(job.kind.inputs), job.key
        for name, jobs in job.inputs.items():
            assert set(job.input_files(name)) <= files
            assert {each.seed for each in jobs} <= {job.seed}


def test_the_methods_of_a_repetition_share_their_partition(grid):
    shared = {}
    for run in grid.of_kind("federate"):
        base, *_ = grid.left_out.get(run.experiment, (run.experiment,))
        shared.setdefault((base, run.seed), set()).add(run.partition.path)
    assert {len(paths) for paths in shared.values()} == {1}
    assert len({next(iter(paths)) for paths in shared.values()}) == len(shared)


# Code -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the code, and the settings."""
    folder, skip = tmp_path_factory.mktemp("code"), shutil.ignore_patterns("__pycache__")
    for part in ("src", "workflow_scripts"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=skip)
    return folder, load(REPOSITORY / "params.yaml")


@pytest.fixture
def code(copied, monkeypatch):
    """Edits a file of the copy, whose digests count, and says what that moves: jobs, products, data."""
    folder, settings = copied
    monkeypatch.chdir(folder)
    monkeypatch.setattr(digest, "ROOT", folder / "src/fedgenbench")
    monkeypatch.setattr(systems, "FOLDER", folder / "src/fedgenbench/systems")

    def edited(name, text="\nEDITED = 1\n"):
        before, path = grid_of(settings), folder / name
        before_products = product_digests(before)
        kept = path.read_bytes() if path.exists() else None
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
            after = grid_of(settings)
            products = product_digests(after)
        finally:
            path.unlink()
            if kept is not None:
                path.write_bytes(kept)
        return (
            moved(before, after, job_digests),
            {product for product in products if products[product] != before_products[product]},
            moved(before, after, prepared_digests),
        )

    return edited


PACKAGE = "src/fedgenbench/"
NO_RESULT = [
    "plan/settings.py",
    "plan/grid.py",
    "plan/jobs.py",
    "systems/base.py",
    "systems/fedlmg/system.py",
    "models/limits.py",
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
    jobs, products, data = code(PACKAGE + "federated/methods/ditto.py")
    runs = {key for key in run_digests(grid) if of_method("ditto")(key)}
    assert jobs == {("federate", *key) for key in runs}
    assert products == EVERYTHING
    assert data == set()


def test_a_model_moves_the_jobs_that_use_its_file(code, grid):
    of_model = {
        key
        for key in run_digests(grid)
        if MODELS[grid.settings.experiments[grid.left_out.get(key[0], key)[0]].model][0]
        == "fedgenbench.models.mlp"
    }
    for file, runs in (("mlp", of_model), ("cnn", set(run_digests(grid)) - of_model)):
        jobs, _, _ = code(f"{PACKAGE}models/{file}.py")
        assert {key[1:] for key in jobs if key[0] == "federate"} == runs
        assert {"classifiers", "guided", "server"} <= {key[0] for key in jobs}


# A job's module -> the kinds that it moves: its own and those that are built on its jobs.
OF_A_JOB = {
    "warmfed/adapter": {"adapter", "images", "trials", "warm", "examined", "federate"},
    "warmfed/prompts": {"prompts", "warm", "examined", "federate"},
    "warmfed/examination": {"examined", "trials"},
    "pfedgpa/uploads": {"uploads", "fit", "aggregate"},
    "pfedgpa/aggregate": {"aggregate"},
    "pfedgpa/newcomers": {"newcomers"},
    "fedlmg/guided": {"guided", "server"},
    "fedlmg/dense": {"dense"},
}


@pytest.mark.parametrize("module", OF_A_JOB)
def test_a_jobs_module_moves_it_and_what_is_built_on_it(code, module):
    jobs, products, data = code(f"{PACKAGE}systems/{module}.py")
    assert {key[0] for key in jobs} == OF_A_JOB[module]
    assert products == EVERYTHING
    assert data == set()


@pytest.mark.parametrize(
    ("model", "experiments"),
    [("bn_cnn", (EMOJI,)), ("fedpac_cnn", ("fashion_mnist", "cifar10", "emnist"))],
)
def test_another_class_for_a_model_moves_its_jobs(grid, monkeypatch, model, experiments):
    monkeypatch.setitem(MODELS, model, (MODELS[model][0], "Another"))
    jobs = moved(grid, Grid(grid.settings), job_digests)
    trained = {"federate", "warm", "uploads", "fit", "aggregate", "newcomers"}
    trained |= {"classifiers", "editing", "guided", "rounds", "dense", "server"}
    others = {n for n, e in grid.settings.experiments.items() if e.model not in (model, "bn_cnn")}
    assert jobs == {
        key
        for key in job_digests(grid)
        if key[0] in trained and key[1].startswith(experiments) and key[1] not in others
    }


@pytest.mark.parametrize("file", ["federated/rounds.py", "federated/server.py", "core/streams.py"])
def test_the_engine_moves_every_run(code, grid, file):
    jobs, products, _ = code(PACKAGE + file)
    assert {key[1:] for key in jobs if key[0] == "federate"} == set(run_digests(grid))
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
def test_what_shows_results_moves_no_job(code, file, products):
    assert code(file) == (set(), products, set())


@pytest.mark.parametrize(
    ("file", "products"),
    [
        ("table.tex", {"tables"}),
        ("paper.tex", {"tables"}),
        *((f"report.{suffix}", {"report"}) for suffix in ("html", "css", "js")),
        ("parts.html", {"report"}),
        ("report.typ", {"report"}),
    ],
)
def test_a_template_moves_what_is_written_with_it(code, file, products):
    assert code(f"src/fedgenbench/report/templates/{file}", "\n") == (set(), products, set())


def test_a_data_file_of_the_package_moves_what_is_prepared_with_it(code, grid):
    _, _, data = code("src/fedgenbench/data/emoji_classes.json", "\n")
    assert "emoji_domains" in data


def test_a_new_place_to_fetch_from_moves_nothing_and_another_pin_does(grid, monkeypatch):
    from fedgenbench.plan import jobs as module

    monkeypatch.chdir(REPOSITORY)
    before, real = Grid(grid.settings), module.source_of
    mirror = [{"kind": "http", "archives": {}}]
    monkeypatch.setattr(module, "source_of", lambda name: real(name) | {"sources": mirror})
    assert prepared_digests(Grid(grid.settings)) == prepared_digests(before)
    monkeypatch.setattr(module, "source_of", lambda name: real(name) | {"files": {"a": "0"}})
    assert moved(before, Grid(grid.settings), prepared_digests) == set(grid.prepared)


def test_the_jobs_beside_a_method_follow_it(raw, load_raw, grid):
    def digests(grid):
        jobs = grid.of_system("pfedgpa")
        return {(job.kind.name, job.experiment, job.seed, job.name): job.digest for job in jobs}

    kinds = ("uploads", "fit", "aggregate", "newcomers")
    assert {key[0] for key in digests(grid)} == set(kinds)
    assert {(k, e) for k in kinds for e in (FASHION, CIFAR)} <= {key[:2] for key in digests(grid)}
    raw["methods"]["ditto"]["lam"] = 0.25
    assert moved(grid, grid_of(load_raw(raw)), digests) == set()
    fits = raw["experiments"][FASHION]["pfedgpa"]["oneshot"]["fits"]
    fits["linear"]["rows"][0]["eta"] = 0.8
    after = grid_of(load_raw(raw))
    # CIFAR-10's rows are the same list in the file.
    assert {key[0] for key in moved(grid, after, digests)} == {"fit", "aggregate"}
    raw["methods"]["pfedgpa"]["buffer"] = 9
    # Elsewhere the size of the buffer is the experiment's own.
    everywhere = {key for key in digests(after) if key[1] in (FASHION, CIFAR)}
    assert everywhere <= moved(after, grid_of(load_raw(raw)), digests)


# Optional data ------------------------------------------------------------------------------------
def test_experiments_without_their_data_are_left_out_and_named(raw, load_raw, monkeypatch):
    def pretend(reason):
        for module in (grid_module, notes):
            monkeypatch.setattr(
                module, "missing", lambda name: reason if name == "emnist" else None
            )

    def experiments_of(grid):
        return {job.experiment for job in grid.jobs.values()}

    pretend("gone")
    without = grid_of(load_raw(raw))
    assert "emnist-10" not in experiments_of(without)
    assert without.absent_notes["emnist-10"]["reason"] == "no data"
    assert without.absent_notes["cifar10-100"] == {
        "title": "CIFAR-10, 100 clients",
        "dataset": "CIFAR-10",
        "clients": 100,
        "warmfed": False,
        "role": "main",
        "leave_one_out": False,
        "reason": "not run at this scale",
        "command": "snakemake paper --config experiments=cifar10-100",
    }
    pretend(None)
    with_it = grid_of(load_raw(raw))
    assert "emnist-10" in experiments_of(with_it)
    assert "emnist-10" not in with_it.absent_notes
    assert moved(without, with_it, run_digests) == set()
    assert moved(without, with_it, product_digests) == EVERYTHING


@pytest.mark.parametrize("system", ["pfedgpa", "warmfed", "fedlmg"])
@pytest.mark.parametrize(
    ("file", "products"), [("claims.yaml", {"report"}), ("published.yaml", {"tables", "report"})]
)
def test_a_papers_file_moves_what_shows_it(code, file, products, system):
    assert code(f"{PACKAGE}systems/{system}/{file}", "# edited\n") == (set(), products, set())


# Synthetic images ---------------------------------------------------------------------------------
ADAPTED, BOTH = {"warmfed", "fedavg_warm"}, {"warmfed", "fedavg_warm", "fgl"}
# Setting -> (value, moved kinds of jobs, and which of BOTH's rows move).
SYNTHESIS = [
    (("lora", "steps"), 7, {"adapter", "images", "trials", "warm", "examined"}, ADAPTED),
    (("per_class",), 3, {"images", "warm", "examined"}, ADAPTED),
    (("prompts", "per_class"), 3, {"prompts", "warm", "examined"}, {"fgl"}),
    (("sampler", "steps"), 4, {"images", "prompts", "trials", "warm", "examined"}, BOTH),
    (("warm_start", "epochs"), 2, {"warm"}, BOTH),
    (("examine", "shown"), 5, {"examined", "trials"}, set()),
    (("subset",), 0.5, set(), {"warmfed", "fgl"}),
]


@pytest.mark.parametrize(("address", "value", "kinds", "rows"), SYNTHESIS)
def test_a_setting_of_the_synthesis_moves_what_it_decides(
    raw, load_raw, grid, address, value, kinds, rows
):
    place = raw["experiments"][EMOJI]["warmfed"]
    for key in address[:-1]:
        place = place[key]
    place[address[-1]] = value
    jobs = moved(grid, grid_of(load_raw(raw)), job_digests)
    assert {key[0] for key in jobs} - {"federate"} == kinds
    changed = {key[2] for key in jobs if key[0] == "federate"}
    assert changed & BOTH == rows
    assert "fedavg" not in changed


def test_a_domain_that_is_left_out_gives_no_images(grid):
    for name, (base, number, _) in grid.left_out.items():
        runs = [run for run in grid.of_kind("federate") if run.experiment == name]
        assert {run.settings["without"] for run in runs} == {number}
        (drawing,) = [run for run in runs if run.seed == 0 and "images" in run.inputs]
        images = drawing.inputs["images"]
        assert number not in {job.client for job in images}
        assert len(images) == 5
        (warm,) = drawing.inputs["warm"]
        assert (warm.experiment, warm.inputs["images"]) == (name, images)
        whole = first_run(grid, base, "warmfed").inputs["images"]
        # The other clients' images are made once.
        assert [job for job in whole if job.client != number] == list(images)


def first_run(grid, experiment, name):
    return next(
        run for run in grid.of_kind("federate") if (run.experiment, run.name) == (experiment, name)
    )


def test_rows_start_where_they_say(grid):
    names = ("fedavg", "fedavg_warm", "warmfed", "warmfed_scratch", "fgl")
    starts = {name: first_run(grid, EMOJI, name).inputs for name in names}
    assert starts["fedavg"] == {}
    assert starts["fedavg_warm"]["warm"] == starts["warmfed"]["warm"]
    assert "images" not in starts["fedavg_warm"]
    assert starts["fedavg_warm"]["adapters"] == starts["warmfed"]["adapters"]
    assert [job.client for job in starts["warmfed"]["adapters"]] == list(range(6))
    assert "warm" not in starts["warmfed_scratch"]
    assert starts["warmfed_scratch"]["images"] == starts["warmfed"]["images"]
    assert starts["fgl"]["warm"][0].name == "prompts"


def test_a_share_of_synthetic_images_is_chosen_without_an_adapter(grid):
    """All rows on validation images have those of prompts alone, and their own share."""
    jobs = {
        j.name: j
        for j in grid.jobs.values()
        if j.experiment == "emoji_domains-subset" and not j.seed
    }
    assert not {"adapter", "images", "examined", "trials"} & {
        job.kind.name for job in jobs.values()
    }
    for method in ("fgl", "warmfed"):
        for percent, epochs in ((5, 20), (10, 10), (25, 4), (100, 1)):
            job = jobs[f"{method}_subset_{percent}"]
            assert job.settings["subset"] == percent / 100
            assert job.settings["images"] == "prompts"
            assert {images.kind.name for images in job.inputs["images"]} == {"prompts"}
            assert job.settings["score_on"] == "valid"
            # As many images in a round, whatever the share.
            assert job.settings["method_settings"]["server_epochs"] == epochs
            assert percent * epochs == 100


def test_a_variant_may_keep_running_statistics(grid):
    assert "fedavg_running" in grid.settings.experiments[EMOJI].ablations
    kept, plain = (first_run(grid, EMOJI, name) for name in ("fedavg_running", "fedavg"))
    assert kept.settings["local"] == plain.settings["local"] | {"statistics": "running"}
    assert plain.settings["local"]["statistics"] == "recalibrated"
    assert grid.method_notes["fedavg_running"]["statistics"] == "running"
    same = ("method", "method_settings", "seed", "model", "rounds")
    assert all(kept.settings[key] == plain.settings[key] for key in same)
