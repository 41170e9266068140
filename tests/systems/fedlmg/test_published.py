import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.systems.fedlmg.published import FILE, fedlmg_published

PAPERS = Path(__file__).parents[3] / "papers"
SETS = ["OpenImage", "DomainNet", "Unique NICO++", "Common NICO++"]
METHODS = ["ceiling", "prompts", "fedavg", "feddf", "fedlmg_ft", "fedlmg_sd", "fedlmg_md"]
OWN = ["fedlmg_ft", "fedlmg_sd", "fedlmg_md"]


@pytest.fixture(scope="module")
def stated():
    return fedlmg_published(FILE)


@pytest.fixture(scope="module")
def frame(stated):
    return stated.frame()


@pytest.fixture(scope="module")
def printed(frame):
    """Data set -> its printed table, methods by columns, in per cent."""
    known = frame[frame["status"] == "published"]
    return {
        name: rows.pivot(index="method", columns="column", values="value")
        for name, rows in known.groupby("dataset")
    }


@pytest.fixture(scope="module")
def averages(printed):
    """Methods by data sets: the printed averages."""
    return {name: table["Avg"] for name, table in printed.items()}


def sheet_cells():
    """(data set, printed row name, column, digits) of the sheet's §1.1, in its order."""
    text = (PAPERS / "fedlmg.md").read_text(encoding="utf-8")
    part = text[text.index("### 1.1") : text.index("### 1.2")]
    for block in re.findall(r"^(\S[^\n(]*) \([^\n]*\n((?:\|.*\n)+)", part, re.MULTILINE):
        dataset, (head, _, *lines) = block[0], block[1].splitlines()
        _, *columns = [cell.strip() for cell in head.strip("|").split("|")]
        for line in lines:
            name, *values = [cell.strip() for cell in line.strip("|").split("|")]
            yield from ((dataset, name, *pair) for pair in zip(columns, values, strict=True))


def test_every_number_is_the_one_of_the_fact_sheet(stated, frame):
    known = frame[frame["status"] == "published"]
    names = known["method"].map(stated.methods)
    rows = zip(known["dataset"], names, known["column"], known["value"], strict=True)
    assert list(rows) == [(*place, float(value)) for *place, value in sheet_cells()]


def test_twenty_eight_rows_stand_whole(printed, frame):
    assert set(printed) == set(SETS)
    for name, table in printed.items():
        assert table.shape == (7, 6 if name == "DomainNet" else 7)
        assert set(table.index) == set(METHODS)
        assert table.notna().all(axis=None)
    assert len(frame[frame["status"] == "published"]) == 3 * 49 + 42
    assert not frame.duplicated(["setting", "dataset", "method", "column"]).any()


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("method", METHODS)
def test_a_printed_average_is_the_plain_mean_of_its_row(printed, dataset, method):
    # Exact decimals: two averages are rounded from a mean that ends in a five.
    row = {column: Decimal(str(v)) for column, v in printed[dataset].loc[method].items()}
    average = row.pop("Avg")
    assert abs(sum(row.values()) / len(row) - average) <= Decimal("0.005")


# The sheet's readings (§1.1) ----------------------------------------------------------------------
@pytest.mark.parametrize("dataset", SETS)
def test_every_aggregation_beats_fedavg_feddf_and_prompts_on_average(averages, dataset):
    average = averages[dataset]
    assert average[OWN].min() > average[["fedavg", "feddf", "prompts"]].max()


def test_one_teacher_is_best_but_on_domainnet(averages):
    best = {name: averages[name][OWN].idxmax() for name in SETS}
    assert best == dict.fromkeys(SETS, "fedlmg_sd") | {"DomainNet": "fedlmg_md"}


def test_the_order_of_specific_teacher_and_fine_tuning(averages):
    gains = {name: averages[name]["fedlmg_sd"] - averages[name]["fedlmg_ft"] for name in SETS}
    assert gains == pytest.approx(
        {"OpenImage": 3.81, "DomainNet": 1.21, "Unique NICO++": 3.67, "Common NICO++": 5.09}
    )


def test_the_average_of_the_ceiling_is_passed_on_openimage_alone(averages):
    passed = {
        (name, method)
        for name, average in averages.items()
        for method in average.index
        if average[method] > average["ceiling"]
    }
    assert passed == {("OpenImage", "fedlmg_sd"), ("OpenImage", "fedlmg_md")}


def test_columns_in_which_the_ceiling_is_passed(printed):
    passed = {
        (name, column, method)
        for name, table in printed.items()
        for column in table.columns.drop("Avg")
        for method in table.index
        if table.loc[method, column] > table.loc["ceiling", column]
    }
    openimage = {
        "fedlmg_sd": [1, 2, 3, 4, 5],
        "fedlmg_md": [1, 2, 3, 5],
        "fedlmg_ft": [1, 5],
        "feddf": [2],
    }
    expected = {("OpenImage", f"client{n}", m) for m, ns in openimage.items() for n in ns}
    expected |= {("DomainNet", "real", "fedlmg_md"), ("DomainNet", "real", "prompts")}
    assert passed == expected | {("Common NICO++", "grass", "fedlmg_sd")}


def test_guidance_gains_where_the_style_is_far_from_photographs(printed):
    table = printed["DomainNet"]
    gains = table.loc[OWN] - table.loc["prompts"]
    assert gains.loc["fedlmg_md", "clipart"] == pytest.approx(25.71)
    assert gains["real"].to_dict() == pytest.approx(
        {"fedlmg_ft": -1.47, "fedlmg_sd": -1.45, "fedlmg_md": -0.11}
    )
    assert gains.drop(columns=["real", "Avg"]).min(axis=None) > 13


# What is not at hand ------------------------------------------------------------------------------
def test_no_cell_lacks_status_and_source_and_none_is_invented(frame):
    assert set(frame["status"]) == {"published", "not available"}
    assert frame["source"].str.startswith("papers/fedlmg.md §").all()
    assert (frame["value"].isna() == (frame["status"] == "not available")).all()


def test_what_is_not_available(stated, frame):
    unknown = frame[frame["status"] == "not available"]
    assert list(unknown["setting"].unique()) == [
        "feature skew (ICML)",
        "label skew",
        "heterogeneous clients",
        "without batch-norm loss",
        "without noise editing",
        "number of editing steps",
        "weight of the batch-norm loss",
        "number of images",
        "cost",
    ]
    assert set(unknown["setting"]).isdisjoint({table.setting for table in stated.tables})
    skew = unknown[unknown["setting"] == "label skew"]
    assert set(zip(skew["dataset"], skew["method"], strict=True)) == {
        (name, method) for name in ("Unique NICO++", "Common NICO++") for method in METHODS
    }
    mixed = unknown[unknown["setting"] == "heterogeneous clients"]
    assert "fedavg" not in set(mixed["method"])
    assert set(unknown.loc[unknown["setting"] == "cost", "column"]) == {
        *("upload", "wall-clock time", "memory", "FLOPs"),
    }


def test_figures_outside_tables_have_their_status(stated):
    assert [figure.status for figure in stated.figures] == [
        *["published"] * 2,
        *["second-hand"] * 2,
    ]


# Faults -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("tables", {"rows": {"fedavg": [41.46]}}, "tables.0: .*fedavg has 1 of 7 columns"),
        ("tables", {"rows": {"fedcado": [1.0] * 7}}, "tables.0.rows.fedcado.*'ceiling'"),
        ("tables", {"rows": {"fedavg": [141.46] * 7}}, "less than or equal to 100"),
        ("tables", {"status": "rumoured"}, "tables.0.status: .*'published' or 'second-hand'"),
        ("cells", {"value": 50.0}, "cells.0.value: Input should be None"),
        ("cells", {"status": "published"}, "cells.0.status: .*'not available'"),
        ("cells", {"clients": [6]}, "cells.0.clients: Extra inputs"),
    ],
)
def test_a_wrong_entry_names_the_file_and_the_key(tmp_path, part, change, match):
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    content[part][0].update(change)
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=rf"published.yaml: (?s:.)*{match}"):
        fedlmg_published(path)


def test_a_file_that_is_missing_or_says_a_thing_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml is missing"):
        fedlmg_published(tmp_path / "none.yaml")
    (tmp_path / "twice.yaml").write_text("{cells: [], cells: []}")
    with pytest.raises(UserError, match="'cells' stands twice"):
        fedlmg_published(tmp_path / "twice.yaml")
