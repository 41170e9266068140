"""Numbers in README.md and docs are those that were recorded."""

import json
from pathlib import Path

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.report.quotes import pages, quotations, updated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: str(page.relative_to(ROOT)))
def test_quoted_numbers_are_the_recorded_ones(page):
    text = page.read_text(encoding="utf-8")
    assert updated(text, ROOT) == text, "run `make docs` and look at the sentences around"


def test_the_pages_that_tell_results_quote_them():
    counts = {
        str(page.relative_to(ROOT)): quotations(page.read_text(encoding="utf-8"))
        for page in pages(ROOT)
    }
    for name in ("README.md", "docs/weightspace.md", "docs/foundation.md", "docs/unclip.md"):
        assert counts[name] >= 10, name


@pytest.fixture
def recorded(tmp_path):
    tables = tmp_path / "results/embedded/tables"
    tables.mkdir(parents=True)
    (tables.parent / "metrics.json").write_text(json.dumps({"e": {"m": {"global": 0.2644}}}))
    (tables / "tables-0123456789.json").write_text(json.dumps({"runs": {"a": "x", "b": "y"}}))
    (tables / "t.csv").write_text(
        "block,row,label,header,column,unit,mean,low,high,n,bold,text\n"
        '"B, 10: x",r,R,,lead,points,-0.44,,,3,0,−0.4 ± 0.6\n',
        encoding="utf-8",
    )
    (tmp_path / "params.yaml").write_text("steps: [5, 20]\n")
    return tmp_path


@pytest.mark.parametrize(
    ("quotation", "number"),
    [
        ("metrics: e / m / global: x100 .1f", "26.4"),
        ("metrics: e / m / global: .3f", "0.264"),
        ("runs: runs: count", "2"),
        ("params: steps / -1: d", "20"),
        ("t: B, 10: x / r /  / lead", "−0.4 ± 0.6"),
        ("t: B, 10: x / r /  / lead: .2f", "−0.44"),
    ],
)
def test_what_a_quotation_becomes(recorded, quotation, number):
    page = f"It is <!--{quotation}-->old\nnumber<!---->, <!-- a comment --> and no more."
    found = updated(page, recorded)
    assert found == f"It is <!--{quotation}-->{number}<!---->, <!-- a comment --> and no more."
    assert updated(found, recorded) == found


@pytest.mark.parametrize(
    "quotation",
    ["metrics: e / none / global: .1f", "t: B, 10: x / r / up / lead", "none: a / b / c / d"],
)
def test_a_quotation_of_nothing_is_named(recorded, quotation):
    with pytest.raises(
        UserError, match=quotation.split(":")[0] + ".*names nothing that is recorded"
    ):
        updated(f"<!--{quotation}-->1<!---->", recorded)
