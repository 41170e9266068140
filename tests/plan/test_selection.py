"""A part of the grid: by experiment, method, seed and paper."""

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.plan import needs
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.selection import require_known, select, selecting
from fedgenbench.plan.settings import load

FASHION, EMOJI, SIXTY = "fashion_mnist-10", "emoji_domains", "emoji_domains-60"


@pytest.fixture(scope="module")
def scales():
    return load()[1]


def chosen(scales, scale="embedded", **only):
    """The part of a scale, and what was asked in vain."""
    picked = selecting({"only": only})["only"]
    settings = scales[scale]
    only = type(settings.only).model_validate(picked)
    return select(settings.model_copy(update={"only": only}))


@pytest.mark.parametrize(
    ("given", "only"),
    [
        (
            {"experiments": "a,b", "methods": "fedavg"},
            {"experiments": ["a", "b"], "methods": ["fedavg"]},
        ),
        (
            {"experiments": ["a"], "papers": "warmfed"},
            {"experiments": ["a"], "papers": ["warmfed"]},
        ),
        ({"seeds": 0}, {"seeds": [0]}),
        (
            {"only": {"experiments": [2023], "papers": 1}},
            {"experiments": ["2023"], "papers": ["1"]},
        ),
        ({"seeds": "0,2"}, {"seeds": [0, 2]}),
        ({"only": {"seeds": "1", "methods": ["fedavg"]}}, {"seeds": [1], "methods": ["fedavg"]}),
    ],
)
def test_words_of_a_command_line_select(given, only):
    assert selecting(given) == {"only": only}


def test_a_list_of_seeds_and_mappings_are_settings(scales):
    given = {"seeds": [7], "experiments": {"a": None}, "scale": "paper"}
    assert selecting(given) == given
    with pytest.raises(UserError, match="write 'only="):
        selecting({"only": "emoji_domains"})


def test_what_remains_keeps_its_paths(scales):
    part, in_vain = chosen(scales, experiments=[EMOJI], methods=["fedavg", "warmfed"], seeds=[1])
    assert in_vain == []
    grid, whole = Grid(part), Grid(scales["embedded"])
    runs = {(run.name, run.seed) for run in grid.of_kind("federate")}
    assert runs == {("fedavg", 1), ("warmfed", 1)}
    assert set(grid.jobs) < set(whole.jobs)


def test_what_stands_beside_an_experiment_may_stand_alone(scales):
    part, in_vain = chosen(scales, experiments=[SIXTY])
    assert in_vain == []
    assert list(part.experiments) == [SIXTY]
    assert part.experiments[SIXTY].beside is None
    together, _ = chosen(scales, experiments=[EMOJI, SIXTY])
    assert together.experiments[SIXTY].beside == EMOJI


def test_blocks_belong_to_their_method(scales):
    part, _ = chosen(scales, experiments=[FASHION], methods=["pfedgpa"])
    assert part.experiments[FASHION].pfedgpa == scales["embedded"].experiments[FASHION].pfedgpa
    part, _ = chosen(scales, experiments=[FASHION], methods=["fedavg"])
    assert part.experiments[FASHION].pfedgpa is None
    part, _ = chosen(scales, methods=["fedlmg"])
    assert all(each.fedlmg and not each.rows for each in part.experiments.values())
    assert "emoji_domains-oneshot" in part.experiments


@pytest.mark.parametrize(
    ("paper", "experiments"),
    [
        (
            "pfedgpa",
            {FASHION, "cifar10-10", "cifar10-20-small", "cifar10-100-small", "emnist-10"}
            | {f"fashion_mnist-{clients}-mlp" for clients in (2, 5, 20, 100)}
            | {"fashion_mnist-20-wide", "fashion_mnist-20-disjoint"},
        ),
        ("warmfed", {EMOJI, SIXTY, f"{EMOJI}-strict", f"{EMOJI}-subset"}),
        (
            "fedlmg",
            {
                *(f"{EMOJI}-{e}" for e in ("oneshot", "labels", "overlap", "mixed", "extreme")),
                *(f"{EMOJI}-{clients}clients" for clients in (30, 60)),
            },
        ),
    ],
)
def test_a_paper_is_its_experiments(scales, paper, experiments):
    part, in_vain = chosen(scales, papers=[paper])
    assert in_vain == []
    assert set(part.experiments) == experiments


@pytest.mark.parametrize(
    ("only", "words"),
    [
        (
            {"experiments": ["emoji_domain"]},
            "'emoji_domain' is not known; did you mean 'emoji_domains'",
        ),
        ({"methods": ["fedavgg"]}, "'fedavgg' is not known; did you mean 'fedavg' or"),
        ({"papers": ["warm"]}, "'warm' is not known; did you mean 'warmfed'?"),
        (
            {"seeds": [9]},
            "9 is not known; known: 0, 1, 2, 3, 4; --config 'seeds=[...]' sets others",
        ),
    ],
)
def test_unknown_names_are_refused_with_near_ones(scales, only, words):
    picked = type(scales["embedded"].only).model_validate(only)
    with pytest.raises(UserError) as caught:
        require_known(picked, scales)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("scale", "only", "words"),
    [
        ("smoke", {"experiments": ["emoji_domains-overlap"]}, "is not part of scale smoke"),
        ("smoke", {"seeds": [2]}, "scale smoke has the seeds [0, 1], not 2"),
        (
            "embedded",
            {"experiments": [EMOJI], "methods": ["pfedgpa"]},
            "plays none of pfedgpa; it plays",
        ),
        ("embedded", {"experiments": [EMOJI], "papers": ["pfedgpa"]}, "no experiment of pfedgpa"),
        ("embedded", {"methods": ["fedavg", "fedala"]}, "fedala is not played in"),
        (
            "embedded",
            {"papers": ["fedlmg"], "methods": ["fedavg"]},
            "nothing of scale embedded is left",
        ),
    ],
)
def test_what_is_asked_in_vain_is_told(scales, scale, only, words):
    _, in_vain = chosen(scales, scale, **only)
    assert words in " ".join(in_vain)


# What is missing ----------------------------------------------------------------------------------
def test_what_a_run_would_die_without_is_listed(alone, load_raw, monkeypatch, tmp_path):
    raw = alone("emoji_domains-oneshot")
    asked = raw["experiments"]["emoji_domains-oneshot"]["fedlmg"]
    asked["base"]["source"] = "models/foundatoin"
    asked |= {"imagenet": "models/imagenet"}
    asked["clients"]["models"] = ["resnet18"]
    asked["server"]["model"] = "resnet18"
    asked["rivals"]["fgl"]["captioner"] = "owner/captioner"
    grid = Grid(load_raw(raw)[1]["embedded"])
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs.Path, "is_file", lambda path: False)
    said = "\n".join(needs.missing(grid))
    assert (
        "npm: EmojiDomains is fetched with it; install it, or put the files into data/raw" in said
    )
    assert "models/foundatoin: experiments.emoji_domains-oneshot.fedlmg.base.source names" in said
    assert "models/imagenet/resnet18.pth: experiments.emoji_domains-oneshot.fedlmg.imagenet" in said
    assert "owner/captioner" not in said
    assert any(line.startswith("owner/captioner (") for line in needs.fetched(grid))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "owner/captioner" in "\n".join(needs.missing(grid))

    # As a container's user without a name: there is no home to look into.
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert "owner/captioner" in "\n".join(needs.missing(grid))
