from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.report.tables import Cell, Column, Row, Table
from fedgenbench.systems import claims
from fedgenbench.systems.fedlmg.published import FILE, OF_METHODS, fedlmg_published
from fedgenbench.systems.fedlmg.published_tables import beside, with_averages

READ = Path(__file__).parents[3] / "papers/fedlmg_icml2025.yaml"
SETS = ["OpenImage", "DomainNet", "Unique NICO++", "Common NICO++"]
OWN = ["fedlmg_ft", "fedlmg_sd", "fedlmg_md"]
MULTI_ROUND = ["fedavg", "fedprox", "feddyn", "feddf"]


@pytest.fixture(scope="module")
def stated():
    return fedlmg_published(FILE)


@pytest.fixture(scope="module")
def printed(stated):
    """Setting and data set -> average by row, of the ICML version."""
    return {
        (table.setting, table.dataset): {row: table.average(row) for row in table.rows}
        for table in stated.tables
        if table.number != "v1"
    }


def numbers(part):
    """All rows of numbers below a key of the file of readings, in order."""
    for key, value in part.items():
        if key == "columns":
            continue
        if isinstance(value, dict):
            yield from numbers(value)
        elif isinstance(value, list):
            yield value
        elif isinstance(value, int | float):
            yield [value]


def test_every_cell_is_the_one_that_was_read(stated):
    """Table by table, row by row, in order: nothing is left out and nothing added."""
    read = yaml.safe_load(READ.read_text(encoding="utf-8"))
    for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12):
        (key,) = (key for key in read if key.split("_")[0] == f"table{number}")
        content = dict(read[key])
        content.pop("privacy_threshold_about", None)  # no cell but a sentence
        held = [row for t in stated.tables if t.number == str(number) for row in t.rows.values()]
        assert held == list(numbers(content)), key
    counts = {t.number for t in stated.tables}
    assert counts == {"1", "2", "3", "4", "5", "6", "7", "9", "10", "11", "12", "v1"}
    assert sum(t.number == "v1" for t in stated.tables) == 4


def test_printed_averages_are_plain_means_but_for_two(stated):
    """Means are printed rounded or cut off: a hundredth is allowed. Exact decimals, for the halves."""
    apart, rows = {}, 0
    for table in stated.tables:
        for row, values in table.rows.items() if table.averaged else ():
            *each, average = (Decimal(str(value)) for value in values)
            rows += 1
            if abs(sum(each) / len(each) - average) > Decimal("0.01"):
                apart[table.number, table.setting, table.dataset, row] = float(
                    sum(each) / len(each)
                )
    assert rows == 105 + 28
    assert apart == {
        ("1", "feature skew", "DomainNet", "ceiling"): pytest.approx(37.80, abs=0.005),
        ("12", "label skew", "Common NICO++", "fedlmg_sd"): pytest.approx(58.225),
    }


def test_rows_that_both_versions_print_are_the_same_but_on_domainnet(stated):
    first, second = (
        {t.dataset: t.rows for t in stated.tables if (t.number, t.setting) == (n, "feature skew")}
        for n in ("v1", "1")
    )
    for dataset in SETS:
        same = [first[dataset][row] == second[dataset][row] for row in first[dataset]]
        assert all(same) == (dataset != "DomainNet")


# What the tables say, as claims have it (sheet §1.0) ------------------------------------------------
@pytest.mark.parametrize("dataset", SETS)
def test_the_specific_teacher_is_above_every_rival_and_the_other_two_above_some(printed, dataset):
    average = printed["feature skew", dataset]
    rivals = [row for row in average if row not in (*OWN, "ceiling")]
    assert average["fedlmg_sd"] > max(average[row] for row in rivals)
    least = min(average["fedlmg_ft"], average["fedlmg_md"])
    assert least > max(average[row] for row in (*MULTI_ROUND, "prompts"))
    assert (least > average["fgl"]) == (dataset in ("OpenImage", "DomainNet"))


def test_the_ceiling_is_passed_on_openimage_alone(printed):
    passed = {
        (dataset, row)
        for dataset in SETS
        for row, value in printed["feature skew", dataset].items()
        if value > printed["feature skew", dataset]["ceiling"]
    }
    assert passed == {("OpenImage", "fedlmg_sd"), ("OpenImage", "fedlmg_md")}


def test_losses_images_clients_noise_and_models(printed):
    losses = printed["losses", "DomainNet"]
    one = losses["one loss first"], losses["one loss second"]
    assert losses["none"] < min(one) < max(one) < losses["both"]
    images = printed["images per class and client", "DomainNet"]
    assert images["10"] < images["30"] < images["50"]
    for dataset, width in (("Unique NICO++", 0.2), ("Common NICO++", 0.9)):
        clients = printed["number of clients", dataset].values()
        assert max(clients) - min(clients) == pytest.approx(width, abs=0.051)
    noise = list(printed["noise on uploads", "DomainNet"].values())
    assert noise == sorted(noise, reverse=True)
    assert noise[0] - noise[-1] == pytest.approx(2.42)
    for dataset in SETS[2:]:
        models = printed["diffusion model", dataset]
        assert models["SD-2.1"] > models["SD-1.5"] > models["LDM"]
        mixed = printed["different architectures", dataset]
        assert mixed["fedlmg_md"] == max(v for row, v in mixed.items() if row != "ceiling")
        assert 12.6 < mixed["fedlmg_md"] - mixed["feddf"] < 16
        skew = printed["label skew", dataset]
        assert skew["fedlmg_sd"] == max(v for row, v in skew.items() if row != "ceiling")
        assert skew["ceiling"] - skew["fedavg"] > 24


# Beside own tables ----------------------------------------------------------------------------------
COLUMNS = [Column("a", "", "%"), Column("Avg", "", "%")]
ROWS = [Row("fedavg", "FedAvg", (Cell("1"), Cell("2"))), Row("dense", "DENSE", (Cell(), Cell()))]


def test_the_papers_own_data_stand_beside_ours_column_by_column(stated):
    columns, rows, notes = beside(stated, "feature skew", "OpenImage", COLUMNS, ROWS)
    assert [column.group for column in columns] == ["Here"] * 2 + ["Published"] * 7
    assert [cell.text for cell in rows[0].cells[:4]] == ["1", "2", "41.46", "50.36"]
    assert rows[1].cells[2:] == (Cell(),) * 7  # the paper has no DENSE
    assert notes == ["Published: Table 1, published, papers/fedlmg_icml2025.yaml table1."]


def test_other_data_never_mix_with_theirs(stated):
    columns, rows, notes = beside(stated, "label skew", "EmojiDomains", COLUMNS, ROWS)
    assert [(c.group, c.label) for c in columns[2:]] == [
        ("Published (their data)", "Unique NICO++"),
        ("Published (their data)", "Common NICO++"),
    ]
    assert [cell.text for cell in rows[0].cells[2:]] == ["50.16", "35.33"]
    assert notes[0].startswith("Published (their data): averages; Table 12")
    assert beside(stated, "overlapping labels", "EmojiDomains", COLUMNS, ROWS) == (
        COLUMNS,
        ROWS,
        [],
    )


def test_the_first_ninety_classes_have_version_1_beside_them(stated):
    _, rows, notes = beside(stated, "feature skew", "DomainNet, 90 classes", COLUMNS, ROWS)
    assert rows[0].cells[-1].text == "43.86"
    assert notes == ["Published: version 1, published, papers/fedlmg.md §1.1 (S2)."]
    _, rows, _ = beside(stated, "feature skew", "DomainNet", COLUMNS, ROWS)
    assert rows[0].cells[-1].text == "29.09"


def test_of_two_rows_that_cannot_be_told_apart_both_are_printed(stated):
    rows = [Row(name, name, (Cell("1"),)) for name in ("one", "both", "other")]
    own = Table("t", "T", (Column("a", "", "%"),), tuple(rows), ("n",))
    names = {"one": ["one loss first", "one loss second"], "both": ["both"], "other": []}
    joined = with_averages(own, [("losses", stated.of("losses"), names)])
    assert joined.columns[1] == Column("DomainNet (losses)", "Published (their data)", "%")
    found = {row.id: row.cells[1].text for row in joined.rows}
    assert found == {"one": "32.64 or 31.11", "both": "34.28", "other": "n/a"}
    assert [row.cells[0].text for row in joined.rows] == ["1"] * 3
    assert joined.notes[-1].startswith("Published (their data): Table 2, published")


# What is not at hand ------------------------------------------------------------------------------
def test_no_cell_lacks_status_and_source_and_none_is_invented(stated):
    frame = stated.frame()
    assert set(frame["status"]) == {"published", "not available"}
    assert frame["source"].str.startswith("papers/fedlmg").all()
    assert (frame["value"].isna() == (frame["status"] == "not available")).all()
    assert not frame.duplicated(["table", "setting", "dataset", "row", "column"]).any()
    unknown = frame.loc[frame["status"] == "not available", "setting"].unique()
    assert list(unknown[:2]) == ["table 8", "which of Table 2's single losses is which"]


# Faults -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("tables", {"rows": {"fedavg": [41.46]}}, "tables.0: .*fedavg has 1 of 7 columns"),
        ("tables", {"rows": {"fedcado": [1.0] * 7}}, "tables.0: .*fedcado is no row: .*ceiling"),
        ("tables", {"rows": {"fedavg": [141.46] * 7}}, "tables.0: .*fedavg has 141.46 %"),
        ("tables", {"rows": {"fedavg": [-1.0] * 7}}, "greater than or equal to 0"),
        ("tables", {"status": "rumoured"}, "tables.0.status: .*'published' or 'second-hand'"),
        ("tables", {"source": ""}, "tables.0.source: .*at least 1 character"),
        ("tables", {"source": None}, "tables.0.source: Input should be a valid string"),
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


def test_a_table_without_source_is_refused(tmp_path):
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    del content["tables"][3]["source"]
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"tables.3.source: Field required"):
        fedlmg_published(path)


def test_a_file_that_is_missing_or_says_a_thing_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml is missing"):
        fedlmg_published(tmp_path / "none.yaml")
    (tmp_path / "twice.yaml").write_text("{cells: [], cells: []}")
    with pytest.raises(UserError, match="'cells' stands twice"):
        fedlmg_published(tmp_path / "twice.yaml")


def test_settings_of_methods_are_those_that_experiments_have(stated):
    assert {t.setting for t in stated.tables if "fedlmg_sd" in t.rows} == set(OF_METHODS)


@pytest.mark.parametrize("claim", ["fedlmg-1", "fedlmg-2", "fedlmg-4", "fedlmg-13", "fedlmg-14"])
def test_ranges_in_claims_are_those_of_the_tables(stated, claim):
    """The least and the largest difference of averages that a claim's own arguments name."""
    said = next(each for each in claims.stated()["fedlmg"] if each.entry.id == claim)
    of = said.entry.test.of
    names = None if of["datasets"] is None else [name.split(",")[0] for name in of["datasets"]]
    found = [
        table.average(method) - table.average(baseline)
        for table in stated.of(of["setting"])
        if names is None or table.dataset in names
        for method in of["methods"]
        for baseline in of["baselines"]
        if baseline in table.rows
    ]
    assert said.entry.published_range == pytest.approx([min(found), max(found)], abs=0.005)
