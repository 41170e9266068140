"""FedLMG's settings and its jobs in the grid: what is refused, and what moves when something changes."""

import pytest

from fedgenbench.plan.grid import Grid

ONE_SHOT = "emoji_domains-oneshot"
FEDLMG = f"experiments/{ONE_SHOT}/fedlmg"


def put(raw, address, value):
    *way, last = address.split("/")
    for key in way:
        raw = raw[key]
    raw[last] = value


@pytest.mark.parametrize(
    ("address", "value", "wanted"),
    [
        ("sizes", [50], f"{ONE_SHOT}.fedlmg.sizes: 50 is not below per_class"),
        ("ablation_per_class", 5, "ablation_per_class: 5 is neither per_class nor one of sizes"),
        ("ablations/main", {}, "ablations: 'main' is a row already"),
        ("ablations/more", {"steps": 1}, f"{ONE_SHOT}.fedlmg.ablations.more"),
        ("baselines", False, f"{ONE_SHOT}.fedlmg.rivals: they stand beside the baselines"),
        ("rivals/fgl/prompt", "a {label}", f"{ONE_SHOT}.fedlmg.rivals.fgl.prompt"),
        ("noises", [-20], f"{ONE_SHOT}.fedlmg.noises.0 = -20"),
        (
            "ablations/running/statistics",
            "run",
            f"{ONE_SHOT}.fedlmg.ablations.running.statistics: 'run'",
        ),
        ("total_per_class", 60, f"{ONE_SHOT}.fedlmg.sizes: have per_class images of each client"),
        ("clients/models", ["resnet19"], f"{ONE_SHOT}.fedlmg.clients.models.0 = 'resnet19'"),
    ],
)
def test_what_fedlmg_cannot_play_is_refused_by_its_key(raw, refusal, address, value, wanted):
    put(raw, f"{FEDLMG}/{address}", value)
    assert wanted in refusal(raw)


def test_domains_are_left_out_where_clients_have_one(raw, refusal):
    raw["experiments"]["emoji_domains-labels"]["fedlmg"]["unseen_domains"] = True
    assert "emoji_domains-labels.fedlmg.unseen_domains: needs partition.scheme domain" in refusal(
        raw
    )


@pytest.fixture
def grid(load_raw):
    def build(content):
        _, scales = load_raw(content)
        return Grid(scales["embedded"], scales["paper"])

    return build


def jobs(grid):
    """Digest of every job of FedLMG of the first seed, by experiment, kind and name."""
    return {
        (job.experiment, job.kind.name, job.name): job.digest
        for job in grid.of_system("fedlmg")
        if job.seed == 0
    }


def moved(before, after):
    return {key[1:] for key in before.keys() & after.keys() if before[key] != after[key]}


def test_the_jobs_of_one_shot(raw, grid):
    own = {key[1:] for key in jobs(grid(raw)) if key[0] == ONE_SHOT}
    ablations = raw["experiments"][ONE_SHOT]["fedlmg"]["ablations"]
    bases = [f"base_{name}" for name in raw["experiments"][ONE_SHOT]["fedlmg"]["bases"]]
    assert own == {
        *(("classifiers", name) for name in ("all", "running")),
        ("editing", "trials"),
        *(("guided", name) for name in ("main", "prompts", *ablations, "noise_100", *bases)),
        ("rounds", "all"),
        *(("rival", name) for name in ("fgl", "feddisc", "feddeo")),
        ("dense", "main"),
        *(("server", name) for name in ("main", *ablations, "noise_100", *bases)),
    }


def test_running_statistics_are_those_of_uploads_and_of_the_servers_model(raw, grid):
    made = {
        (job.kind.name, job.name): job for job in grid(raw).of_system("fedlmg") if job.seed == 0
    }
    clients, server = made["classifiers", "running"], made["server", "running"]
    for job, part in ((clients, "clients"), (server, "server")):
        assert job.settings[part]["statistics"] == "running"
    assert made["guided", "running"].inputs["models"] == server.inputs["models"] == (clients,)
    # All else is as in the row that it is compared with.
    assert made["guided", "running"].settings == made["guided", "main"].settings | {
        "drawn": made["guided", "main"].settings["drawn"] | {"per_class": 4}
    }
    assert made["server", "latent"].settings["server"]["statistics"] == "recalibrated"


def test_a_null_leaves_an_ablation_or_a_rival_out(raw, grid):
    put(raw, f"{FEDLMG}/ablations/latent", None)
    put(raw, f"{FEDLMG}/rivals/feddeo", None)
    put(raw, f"{FEDLMG}/rivals/dense", None)
    raw["scales"] = {}  # which change what is left out
    own = {key[1:] for key in jobs(grid(raw)) if key[0] == ONE_SHOT}
    assert not {("guided", "latent"), ("server", "latent"), ("rival", "feddeo")} & own
    assert ("dense", "main") not in own
    assert ("rival", "fgl") in own


@pytest.mark.parametrize(
    ("address", "value", "stale"),
    [
        ("rivals/fgl/negative", "blurred", {("rival", "fgl"), ("server", "main")}),
        ("rivals/dense/epochs", 1, {("dense", "main")}),
        ("sizes", [4], {("server", "main")}),
        ("ablations/latent/strength", 0.5, {("guided", "latent"), ("server", "latent")}),
    ],
)
def test_a_change_makes_only_what_it_decides_stale(raw, grid, address, value, stale):
    before = jobs(grid(raw))
    put(raw, f"{FEDLMG}/{address}", value)
    assert moved(before, jobs(grid(raw))) == stale


def test_the_servers_rate_leaves_images_as_they_are(raw, grid):
    before = jobs(grid(raw))
    put(raw, f"{FEDLMG}/server/lr", 0.5)
    assert {kind for kind, _ in moved(before, jobs(grid(raw)))} == {"server", "dense"}


def test_clients_stay_what_they_are_when_the_sampler_changes(raw, grid):
    before = jobs(grid(raw))
    put(raw, f"{FEDLMG}/sampler/steps", 5)
    kinds = {kind for kind, _ in moved(before, jobs(grid(raw)))}
    assert kinds == {"editing", "guided", "rival", "server"}
