"""What a user may write into params.yaml, and what is said about the rest before anything runs."""

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES
from fedgenbench.plan.settings import load

FIRST = "fashion_mnist-10"
EMOJI = "emoji_domains"


def put(raw, address, value):
    *way, last = address.split("/")
    for key in way:
        raw = raw[key]
    raw[last] = value


# Faults of single keys: where, what, and what the message must contain.
FAULTS = [
    ("roundz", 3, ["roundz: unknown key"]),
    (f"experiments/{FIRST}/roundz", 3, [f"experiments.{FIRST}.roundz: unknown key"]),
    (f"experiments/{FIRST}/local/lrr", 0.1, [f"experiments.{FIRST}.local.lrr: unknown key"]),
    ("methods/fedprox/muu", 0.1, ["methods.fedprox.muu: unknown key"]),
    (f"experiments/{FIRST}/rounds", 0, [f"experiments.{FIRST}.rounds = 0", "greater than"]),
    (f"experiments/{FIRST}/local/lr", 0.0, [f"experiments.{FIRST}.local.lr = 0.0"]),
    (f"experiments/{FIRST}/local/lr", float("inf"), [f"{FIRST}.local.lr = inf: must be finite"]),
    ("methods/fedprox/mu", float("nan"), ["methods.fedprox.mu = nan: must be finite"]),
    (f"experiments/{FIRST}/participation", 1.5, ["participation = 1.5", "less than or equal"]),
    ("seeds", ["0"], ["seeds.0 = '0'", "integer"]),
    ("seeds", [], ["seeds = []"]),
    ("seeds", [-1], ["seeds.0 = -1"]),
    ("seeds", [1, 2, 1], ["seeds: names 1 twice"]),
    (f"experiments/{FIRST}/partition/clients", 0, [f"{FIRST}.partition.clients = 0"]),
    (f"experiments/{FIRST}/partition/groups", [[0], []], [f"{FIRST}.partition.groups.1 = []"]),
    (f"experiments/{FIRST}/partition/scheme", "fedpack", ["partition", "fedpack", "'dirichlet'"]),
    (f"experiments/{FIRST}/model", "mpl", ["model = 'mpl'", "'mlp'"]),
    (
        f"experiments/{FIRST}/methods",
        ["fedavgg"],
        ["'fedavgg' is not known; did you mean 'fedavg'"],
    ),
    (f"experiments/{FIRST}/methods", ["zzz"], ["'zzz' is not known; known: ", "fedbabu"]),
    (f"experiments/{FIRST}/methods", ["local", "local"], [f"{FIRST}.methods: names 'local' twice"]),
    (f"experiments/{FIRST}/dataset", "fashon_mnist", ["did you mean 'fashion_mnist'"]),
    (f"experiments/{FIRST}/report_global", True, [f"{FIRST}.report_global"]),
    ("methods/fedprox", {}, ["methods.fedprox.mu: missing"]),
    ("methods/fedprox", None, ["methods.fedprox = None"]),
    ("methods/fedprx", {"mu": 0.1}, ["'fedprx' is not known; did you mean 'fedprox'"]),
    ("device", "gpu", ["device = 'gpu'", "'cuda'"]),
    (
        "datasets/fashion_mnist/std",
        [0.1, 0.2],
        ["datasets.fashion_mnist.std: 2 value(s) for images of 1 channel(s)"],
    ),
    ("forecast/passes/fedprx", 2.0, ["forecast.passes: 'fedprx'"]),
    ("forecast/seconds_per_1000_samples", {"mlp": 1.0}, ["no figure for 'fedpac_cnn'"]),
]


@pytest.mark.parametrize(("address", "value", "wanted"), FAULTS)
def test_a_fault_is_named_with_its_key_and_scale(raw, refusal, address, value, wanted):
    put(raw, address, value)
    message = refusal(raw)
    assert "params.yaml (scale embedded) has" in message
    assert "docs/settings.md" in message
    for words in wanted:
        assert words in message


def test_a_method_without_settings_is_refused(raw, refusal):
    del raw["methods"]["moon"]
    raw["variants"] = {n: v for n, v in raw["variants"].items() if v["method"] != "moon"}
    for experiment in raw["experiments"].values():
        experiment["ablations"] = [n for n in experiment.get("ablations", []) if "moon" not in n]
    message = refusal(raw)
    assert "experiments.emoji_domains.methods: 'moon' has no settings under `methods`" in message


def test_a_data_set_that_no_source_gives_is_refused(raw, refusal):
    raw["datasets"]["cifar11"] = raw["datasets"]["cifar10"]
    assert "datasets: 'cifar11' is not known; did you mean 'cifar10'" in refusal(raw)


def test_several_faults_are_told_at_once(raw, refusal):
    raw["confidence"] = 2.0
    raw["experiments"]["emoji_domains"]["rounds"] = 0
    message = refusal(raw)
    # The second stands in what is like it, too.
    assert "4 faults" in message
    assert "confidence = 2.0" in message
    assert "rounds = 0" in message


@pytest.mark.parametrize(
    ("experiment", "partition", "words"),
    [
        (FIRST, {"clients": 60_001}, "partition.clients: 60001 for 60000 training images"),
        (FIRST, {"train_per_client": 30_000}, "partition.train_per_client: 30000 needs"),
        (
            FIRST,
            {"groups": [[0, 10]]},
            "partition.groups: [0, 10] must be distinct classes below 10",
        ),
        (
            FIRST,
            {"scheme": "dirichlet", "clients": 7000, "alpha": 1.0},
            "partition.clients: 7000 clients with at least 10 images",
        ),
        (FIRST, {"scheme": "domain"}, "partition.scheme: domain needs a data set with domains"),
        (
            FIRST,
            {"scheme": "class_blocks", "classes_per_client": 3},
            "partition.classes_per_client: 3 does",
        ),
        (
            FIRST,
            {"scheme": "class_blocks", "classes_per_client": 20},
            "partition.classes_per_client: 20 does",
        ),
        (
            EMOJI,
            {"scheme": "domain_shards", "clients_per_domain": 5000},
            "partition.clients_per_domain: 5000 clients for the",
        ),
    ],
)
def test_a_partition_that_the_data_cannot_meet_is_refused(
    raw, refusal, experiment, partition, words
):
    before = raw["experiments"][experiment]["partition"]
    fresh = "scheme" in partition
    raw["experiments"][experiment]["partition"] = partition if fresh else before | partition
    raw["experiments"][experiment].pop("leave_one_out", None)
    raw["scales"] = {}
    # What says `like` would repeat the fault.
    raw["experiments"] = {n: e for n, e in raw["experiments"].items() if "like" not in e}
    assert f"experiments.{experiment}.{words}" in refusal(raw)


def test_the_slice_of_a_scale_bounds_its_partition(raw, refusal):
    raw["scales"]["smoke"]["datasets"]["fashion_mnist"]["limit_per_class"] = 3
    message = refusal(raw)
    assert "(scale smoke)" in message
    assert f"experiments.{FIRST}.partition.train_per_client" in message


def test_a_fault_in_another_scale_is_reported(raw, refusal):
    raw["scales"]["paper"]["experiments"][FIRST]["rounds"] = -5
    message = refusal(raw)
    assert "(scale paper)" in message
    assert f"experiments.{FIRST}.rounds = -5" in message


def test_the_chosen_scale_is_checked_first(raw, refusal):
    raw["scales"]["paper"]["score_rounds"] = 0
    raw["scales"]["smoke"]["score_rounds"] = 0
    assert "(scale smoke)" in refusal(raw | {"scale": "smoke"})
    assert "(scale paper)" in refusal(raw | {"scale": "paper"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [1", "is not valid YAML"),
        ("scale: smoke\nseeds: [0]\nscale: paper\n", "'scale' stands twice"),
        ("- 1\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("scale: embeded\n", "did you mean 'embedded'"),
        ("scale: smoke\nscales: {smok: {}}\n", "did you mean 'smoke'"),
        ("scale: smoke\nscales: [smoke]\n", "scales must map"),
        ("scale: smoke\nscales: {smoke: 3}\n", "scales must map"),
    ],
)
def test_a_broken_file_is_named(refusal, tmp_path, content, words):
    message = refusal(content)
    assert words in message
    assert str(tmp_path / "params.yaml") in message


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml is missing: run in the repository"):
        load(tmp_path / "nowhere.yaml")


# Scales -------------------------------------------------------------------------------------------
def test_every_scale_has_its_settings_and_an_overlay_touches_no_other(raw, load_raw):
    raw["scales"]["paper"]["confidence"] = 0.5
    chosen, scales = load_raw(raw)
    assert chosen == raw["scale"]
    assert set(scales) == set(SCALES)
    assert {name: each.scale for name, each in scales.items()} == {name: name for name in SCALES}
    assert scales["paper"].confidence == 0.5
    assert scales["smoke"].confidence == scales["embedded"].confidence == raw["confidence"]


def test_an_empty_overlay_is_the_embedded_scale(raw, load_raw):
    raw["scales"] = {"smoke": None}
    _, scales = load_raw(raw)
    assert scales["smoke"].model_dump(exclude={"scale"}) == scales["embedded"].model_dump(
        exclude={"scale"}
    )


def test_the_command_line_stands_above_the_file_and_below_the_overlays(raw, load_raw):
    raw["scales"]["smoke"]["seeds"] = [0, 1]
    chosen, scales = load_raw(raw, {"scale": "smoke", "seeds": [5], "device": "cpu"})
    assert chosen == "smoke"
    assert scales["embedded"].seeds == [5]
    assert scales["smoke"].seeds == [0, 1]
    assert scales["smoke"].device == "cpu"


# Experiments made from others, variants, overrides ------------------------------------------------
def test_null_leaves_an_experiment_out(raw, load_raw):
    raw["experiments"]["twin"] = {"like": FIRST, "title": "Twin"}
    raw["scales"] = {"smoke": {"experiments": {"twin": None}}}
    _, scales = load_raw(raw)
    assert "twin" in scales["embedded"].experiments
    assert set(scales["embedded"].experiments) - set(scales["smoke"].experiments) == {"twin"}
    # What is like it, or stands beside it, is taken over first.
    raw["experiments"]["third"] = {"like": "twin", "title": "Third", "beside": "twin"}
    _, scales = load_raw(raw)
    assert scales["embedded"].experiments["third"].beside == "twin"
    third, model = (scales["smoke"].experiments[name] for name in ("third", FIRST))
    assert third == model.model_copy(update={"title": "Third"})


def test_like_takes_over_what_an_experiment_does_not_say(raw, load_raw):
    raw["experiments"]["twin"] = {"like": FIRST, "title": "Twin", "partition": {"clients": 12}}
    del raw["scales"]["smoke"]
    _, scales = load_raw(raw)
    twin, model = (scales["embedded"].experiments[name] for name in ("twin", FIRST))
    assert twin.partition.clients == 12
    assert twin.model_copy(update={"title": model.title, "partition": model.partition}) == model
    # An overlay of what it is like reaches it too.
    assert scales["paper"].experiments["twin"].rounds == scales["paper"].experiments[FIRST].rounds


@pytest.mark.parametrize("base", ["nowhere", "twin", "other"])
def test_like_must_name_another_experiment_and_end_somewhere(raw, refusal, base):
    raw["experiments"]["twin"] = {"like": base}
    raw["experiments"]["other"] = {"like": "twin"}
    assert "like: name another experiment" in refusal(raw)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("ablations", ["pfedgpa_nothing"], "ablations: 'pfedgpa_nothing' is not known"),
        ("overrides", {"pfedgap": {}}, "overrides: 'pfedgap' is not known; did you mean 'pfedgpa'"),
        ("overrides", {"pfedgpa": {"etta": 1}}, "pfedgpa.etta: unknown key"),
        ("overrides", {"pfedgpa": {"inversion_steps": 7}}, "7 does not divide the 1000 steps"),
        ("overrides", {"pfedgpa": {"warmup": 6}}, "warmup 6 leaves no round of 5"),
        ("leave_one_out", ["fedavg"], "leave_one_out: needs partition.scheme: domain"),
        ("leave_one_out", ["moon"], "leave_one_out: 'moon' is none of its rows"),
        ("beside", "emojis", "beside: 'emojis' is not known"),
        ("ablations", ["fedavg_warm"], "fedavg_warm needs `warmfed`"),
        ("score_on", "valid", "valid needs a partition.valid_fraction above 0"),
    ],
)
def test_what_cannot_be_played_is_told_with_its_place(raw, refusal, place, value, words):
    raw["experiments"][FIRST][place] = value
    raw["experiments"] = {n: e for n, e in raw["experiments"].items() if "like" not in e}
    raw["scales"] = {}
    message = refusal(raw)
    assert f"experiments.{FIRST}" in message
    assert words in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": [51]}, "newcomers.steps: 51 is more than inversion_steps 50"),
        ({"share": 0.9}, "newcomers.share: 0.9 of 10 clients leaves 1"),
    ],
)
def test_newcomers_that_nobody_could_join_are_refused(raw, refusal, changes, words):
    raw["experiments"][FIRST]["pfedgpa"]["newcomers"] |= changes
    raw["scales"] = {}
    assert f"experiments.{FIRST}.pfedgpa.{words}" in refusal(raw)


def test_a_fit_of_the_one_shot_study_is_checked_as_the_method_is(raw, refusal):
    fits = raw["experiments"][FIRST]["pfedgpa"]["oneshot"]["fits"]
    fits["linear"]["generator"]["denoiser"] = "resnet"
    raw["scales"] = {}
    said = f"experiments.{FIRST}.pfedgpa.oneshot.fits.linear.generator.denoiser"
    assert said in refusal(raw)


def test_a_variant_may_not_bear_a_methods_name(raw, refusal):
    raw["variants"]["fedavg"] = {"method": "fedprox", "title": "F", "settings": {}}
    assert "variants.fedavg: a method has this name" in refusal(raw)


def test_settings_come_from_the_method_then_the_experiment_then_the_variant(raw, load_raw):
    raw["experiments"][FIRST]["overrides"] = {"pfedgpa": {"eta": 0.25, "start": 200}}
    _, scales = load_raw(raw)
    played = scales["embedded"].played
    method, values = played(FIRST, "pfedgpa_eta_0")
    assert (method, values["eta"], values["start"]) == ("pfedgpa", 0.0, 200)
    assert played(FIRST, "pfedgpa")[1]["eta"] == 0.25
    assert played("cifar10-10", "pfedgpa")[1]["eta"] == raw["methods"]["pfedgpa"]["eta"]
