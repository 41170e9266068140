"""What the report says in words, on made-up runs: it must not mislead."""

import pytest
import synthetic_runs
import synthetic_warmfed

from fedgenbench.core.wording import counted
from fedgenbench.report.notes import band_warnings
from fedgenbench.report.overview import _headline, summary
from fedgenbench.report.published import Published
from fedgenbench.report.published_tables import published_bullets, published_tables
from fedgenbench.systems.fedlmg.published import FedLMGPublished
from fedgenbench.systems.fedlmg.section import bullets as fedlmg_bullets
from fedgenbench.systems.field.tables import method_table
from fedgenbench.systems.warmfed.image_tables import adapter_table
from fedgenbench.systems.warmfed.numbers import adapters_learnt
from fedgenbench.systems.warmfed.section import text as warmfed_text

EMOJI = "emoji_domains"


@pytest.fixture(scope="module")
def warm():
    return synthetic_warmfed.results()


def scored(grid, method, value, metric="personal"):
    """The scores with one method's replaced in every experiment."""
    own = (grid.scores["method"] == method) & (grid.scores["metric"] == metric)
    return grid.scores.assign(value=grid.scores["value"].mask(own, value))


def test_numbers_and_nouns_agree():
    assert [counted(n, "claim") for n in (0, 1, 2, 1200)] == [
        *("0 claims", "1 claim", "2 claims", "1,200 claims")
    ]
    one = synthetic_runs.results(1, 1, ("fashion_mnist-10",), ("fedavg",))
    shown = summary(one, [])
    assert shown.text.startswith("1 run of 1 method on 1 experiment at embedded scale, on")


def test_the_highest_method_is_not_called_the_highest_where_variants_are_higher(warm):
    headline = _headline(warm, EMOJI).replace("\N{NO-BREAK SPACE}", " ")
    best = "the highest personalised accuracy of a method is WarmFed's 68.0 ± 2.0 %"
    assert best in headline
    assert "higher" not in headline.replace("highest", "")
    above = synthetic_warmfed.results(scores=scored(warm, "warmfed_plain", 0.7))
    headline = _headline(above, EMOJI).replace("\N{NO-BREAK SPACE}", " ")
    assert best in headline
    assert "A variant is higher: WarmFed, no teacher with 70.0 ± 0.0 %." in headline
    above = synthetic_warmfed.results(scores=scored(above, "ditto_warm", 0.8))
    headline = _headline(above, EMOJI).replace("\N{NO-BREAK SPACE}", " ")
    assert "2 variants are higher, Ditto, warm start most with 80.0 ± 0.0 %." in headline


def test_training_alone_above_every_method_is_said(grid):
    experiment = "cifar10-20"
    assert not any("no method reaches" in line for line in band_warnings(grid))
    assert "No method reaches" not in _headline(grid, experiment)
    alone = synthetic_runs.results(scores=scored(grid, "local", 0.96))
    said = (
        "CIFAR-10, 20 clients, personalised accuracy: no method reaches Local only (96.0 ± 0.0 %), "
        "which is each client by itself. The nearest is WarmFed (70."
    )
    assert any(line.startswith(said) for line in band_warnings(alone))
    assert any(n.startswith(f"Warning: {said}") for n in method_table(alone, "t", "t").notes)
    assert "No method reaches Local only." in _headline(alone, experiment)


def test_published_cells_are_counted_and_shown(grid):
    figure = {"text": "It grows.", "status": "published", "source": "p. 3"}
    none = Published(cells=[], figures=[figure])
    assert published_bullets(none) == [
        "Published: no cell of the paper's tables is at hand, so none stands beside ours.",
        "It grows. (published; p. 3)",
    ]
    assert published_tables(grid, none, "pfedgpa") == []
    unknown = {"methods": ["pfedgpa", "fedavg"], "datasets": ["CIFAR-10"], "clients": [10, 20]}
    known = unknown | {"methods": ["pfedgpa"], "clients": [20], "value": 71.25, "source": "p. 5"}
    unknown |= {"value": None, "status": "not available", "source": "p. 6"}
    stated = Published(cells=[known | {"status": "published"}, unknown], figures=[])
    assert published_bullets(stated) == [
        "Published: 1 cell of the paper's tables, in a table of their own."
    ]
    (table,) = published_tables(grid, stated, "pfedgpa")
    assert [(c.group, c.label) for c in table.columns] == [("CIFAR-10", "20 clients")]
    assert [(r.label, r.cells[0].text) for r in table.rows] == [("pFedGPA", "71.25")]
    assert "Source: published, p. 5." in table.notes


def test_bullets_of_fedlmg_follow_its_file(grid):
    table = {"number": "7", "setting": "feature skew", "dataset": "X", "unit": "%"}
    table |= {"averaged": False, "columns": ["Avg"], "rows": {"fedavg": [50.0]}}
    table |= {"status": "published", "source": "p. 1"}
    cell = {"settings": ["cost", "label skew"], "datasets": ["X"], "methods": ["fedavg"]}
    cell |= {"columns": ["Avg"], "value": None, "status": "not available", "source": "p. 2"}
    both = FedLMGPublished(methods={}, tables=[table], cells=[cell], figures=[])
    assert fedlmg_bullets(grid, both)[:2] == [
        "Published: Tables 7 of the ICML version and version 1's first, 1 rows.",
        "No cell is at hand of: cost and label skew.",
    ]


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        ([0.2] * 6, "the loss fell significantly for every adapter."),
        (
            [0.401] * 6,
            "the loss fell significantly for no adapter: by it, none has learnt anything.",
        ),
        (
            [0.2, *[0.4] * 5],
            "the loss fell significantly for 1 of 6 adapters (blob): by it, the others have learnt "
            "nothing.",
        ),
    ],
)
def test_adapters_that_learnt_nothing_are_called_so(warm, last, sentence):
    frame = warm.synthesis.copy()
    for client, value in enumerate(last):
        own = (frame["kind"] == "adapter") & (frame["name"] == "last_loss")
        frame.loc[own & (frame["client"] == client), "value"] = value
    grid = synthetic_warmfed.results(synthesis=frame)
    assert f"Adapters: {sentence}" in warmfed_text(grid)
    assert f"EmojiDomains, 6 clients: {sentence}" in adapter_table(grid).notes
    few = synthetic_warmfed.results(synthesis=frame[frame["seed"] < 2])
    assert adapters_learnt(few, EMOJI).startswith("Too few seeds")
