import csv
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import synthetic_runs
from markdown_it import MarkdownIt
from nasty_names import NASTY

from fedgenbench.core.errors import UserError
from fedgenbench.report.notes import band_warnings
from fedgenbench.report.statistics import Interval
from fedgenbench.report.table_formats import emit, write_paper
from fedgenbench.report.tables import Cell, Column, Row, Table, percent
from fedgenbench.systems.field.tables import domain_table, method_table


class Cells(HTMLParser):
    """Texts of all cells, row by row; ``tags`` is every start tag seen."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside &= tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def markdown_html(text):
    return MarkdownIt().enable("table").render(text)


@pytest.fixture(scope="module")
def table(grid):
    return method_table(grid, "main", "Personalised accuracy.")


@pytest.fixture(scope="module")
def emitted(table, tmp_path_factory):
    return {path.suffix: path for path in emit(table, tmp_path_factory.mktemp("tables"))}


@pytest.fixture
def nasty():
    cells = (Cell("81.2 ± 0.6", True, Interval(81.2, 80.6, 81.8, 3)), Cell(NASTY), Cell())
    columns = (Column(NASTY, NASTY, "%"), Column("b", NASTY), Column("c"))
    rows = (
        Row("a", NASTY, cells, NASTY),
        Row("b", "[b]", cells, NASTY),
        Row("c", "*c", cells, "z"),
    )
    return Table("nasty", NASTY, columns, rows, (NASTY,), NASTY)


def test_the_four_formats_agree(table, emitted):
    expected = [[row.label, *(cell.text for cell in row.cells)] for row in table.rows]

    body = emitted[".tex"].read_text().split(r"\midrule", 1)[1]
    body = re.sub(r"\\bfseries |\\multicolumn\{2\}\{c\}\{([^}]*)\}", r"\1", body)
    body = body.replace(r" & {$\pm$\,} ", " ± ").replace("{n/a}", "n/a")
    # A number without an interval leaves its second column empty.
    body = body.replace(" & &", " &").replace(r" & \\", r" \\")
    lines = [line for line in body.splitlines() if " & " in line]
    assert [line.removesuffix(r" \\").split(" & ") for line in lines] == expected

    for html in (emitted[".html"].read_text(), markdown_html(emitted[".md"].read_text())):
        rows = [row for row in Cells(html).rows if len(row) == len(expected[0]) and row[1]]
        assert rows[1:] == expected  # after the header

    with emitted[".csv"].open() as file:
        lines = list(csv.DictReader(file))
    width = len(table.columns)
    found = [lines[at : at + width] for at in range(0, len(lines), width)]
    assert [[cells[0]["label"], *(c["text"] for c in cells)] for cells in found] == expected


def test_csv_holds_full_precision(table, emitted):
    with emitted[".csv"].open() as file:
        lines = list(csv.DictReader(file))
    cells = [cell for row in table.rows for cell in row.cells]
    for line, cell in zip(lines, cells, strict=True):
        if cell.interval is None:
            assert line["mean"] == line["n"] == ""
        else:
            assert float(line["mean"]) == cell.interval.mean
            assert int(line["n"]) == cell.interval.n
            low = None if line["low"] == "" else float(line["low"])
            assert low == cell.interval.low


def test_values_are_the_means_of_the_runs(grid, table):
    scores = grid.scores
    chosen = scores[
        (scores["experiment"] == "cifar10-20")
        & (scores["method"] == "fedper")
        & (scores["metric"] == "personal")
        & (scores["client"] == -1)
    ]
    cell = next(row for row in table.rows if row.id == "fedper").cells[2]
    assert cell.interval.mean == pytest.approx(100 * chosen["value"].mean())
    assert cell.interval.n == 3


def test_domain_columns_average_a_domains_clients(grid):
    table = domain_table(grid, "emoji_domains", "domains", "By style.")
    assert [column.label for column in table.columns[:6]] == ["Mean", *synthetic_runs.DOMAINS]
    cells = next(row for row in table.rows if row.id == "fedavg").cells[:6]
    # The made-up clients differ by two points from one style to the next.
    means = [cell.interval.mean for cell in cells]
    assert means[2] - means[1] == pytest.approx(2)
    assert means[0] == pytest.approx(sum(means[1:]) / 5)


def test_controls_come_first_and_a_guess_is_computed(table):
    label, rows = table.blocks[0]
    assert label == "Controls"
    assert [row.id for row in rows] == ["random_guess", "local", "centralised"]
    assert rows[0].cells[0] == Cell("10.0", False, Interval(10.0, None, None, 0))


def test_what_is_missing_prints_as_such(grid):
    table = method_table(grid, "t", "t", metrics=("personal", "global"))
    fedrep = next(row for row in table.rows if row.id == "fedrep")
    assert [cell.text for cell in fedrep.cells[:3]] == [fedrep.cells[0].text, "n/a", "0.44"]
    assert percent(Interval(0.5, None, None, 1)).text == "50.0"
    assert all("nan" not in cell.text for row in table.rows for cell in row.cells)


def test_bold_needs_significance_and_never_marks_a_control():
    methods = ("centralised", "fedavg", "warmfed")
    for seeds, expected, note in (
        (3, ["warmfed"], "t-interval over 3 seeds. Bold"),
        (2, [], "Two seeds give no useful interval: means alone, nothing in bold."),
        (1, [], "One seed gives no interval: means alone, nothing in bold."),
    ):
        grid = synthetic_runs.results(seeds, 2, ("fashion_mnist-10",), methods)
        table = method_table(grid, "t", "t")
        assert [row.id for row in table.rows if row.cells[0].bold] == expected
        assert note in " ".join(table.notes)
        assert ("±" in table.rows[-1].cells[0].text) == (seeds == 3)


def test_notes_tell_scale_hardware_and_what_was_mixed(grid, table):
    notes = " ".join(table.notes)
    assert "Numbers at embedded scale are not the papers'." in notes
    assert "Seeds: 3. Rounds: 1 to 10. Engine: vmap. Hardware: 2 × x86-64 core." in notes
    runs = grid.runs.copy()
    runs.loc[0, "hardware"] = "another machine"
    runs.loc[1, "git_dirty"] = True
    mixed = synthetic_runs.results(runs=runs)
    notes = " ".join(method_table(mixed, "t", "t").notes)
    assert "mixes runs from 2 kinds of hardware" in notes
    assert "1 run made in a working tree with uncommitted changes" in notes


def test_a_stale_run_is_refused(grid):
    expected = dict(grid.expected) | {("cifar10-20", "ditto", 1): "0123456789"}
    with pytest.raises(UserError, match=r"^1 run of .*cifar10-20, ditto, seed 1.*to renew them\.$"):
        synthetic_runs.results(expected=expected)


def test_unknown_names_and_missing_columns_are_named(grid):
    with pytest.raises(UserError, match=r"runs lack 1 column, digest"):
        synthetic_runs.results(runs=grid.runs.drop(columns="digest"))
    with pytest.raises(UserError, match=r"method.*warmfed"):
        synthetic_runs.results(methods=("fedavg",), scores=grid.scores)


def test_the_band_of_the_controls(grid):
    assert band_warnings(grid) == []
    scores = grid.scores.copy()
    emoji = (scores["experiment"] == "emoji_domains") & (scores["metric"] == "personal")
    scores.loc[emoji & (scores["method"] == "ditto"), "value"] = 0.99
    scores.loc[emoji & (scores["method"] == "moon"), "value"] = 0.05
    below, above = band_warnings(synthetic_runs.results(scores=scores))
    assert "MOON (5.0 %) is below a random guess (10.0 %)" in below
    assert "Ditto (99.0 %) is above Centralised" in above
    without = grid.select(methods=["fedavg"])
    assert all("no control was run" in warning for warning in band_warnings(without))


def test_a_row_must_fit_the_columns():
    with pytest.raises(ValueError, match="row a has 1 cells for 2"):
        Table("t", "t", (Column("a"), Column("b")), (Row("a", "a", (Cell(),)),))


def test_nasty_names_survive_in_html_and_markdown(nasty, tmp_path):
    paths = {path.suffix: path for path in emit(nasty, tmp_path)}
    html = paths[".html"].read_text()
    for page in (html, markdown_html(paths[".md"].read_text())):
        cells = Cells(page)
        assert sum(NASTY in text for row in cells.rows for text in row) >= 6
        assert "b" not in cells.tags
    assert "<strong>81.2</strong>" in html


def test_latex_escapes_what_it_must(nasty, tmp_path):
    text = next(p for p in emit(nasty, tmp_path) if p.suffix == ".tex").read_text()
    assert r"A\&B 50\% a\_b \#1 \$x\$ \ensuremath{<}b\ensuremath{>}c" in text
    assert r"\{f\} {\textbackslash}g {\textasciitilde}h {\textasciicircum}i |" in text
    assert r"\bfseries 81.2 & {$\pm$\,} 0.6" in text
    assert "otherglyph" not in text
    assert "\n{[}b] &" in text
    assert r"\cmidrule(lr){2-4}" in text  # of three columns, as the first has intervals


def require_latex(program="pdflatex"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode:
        pytest.skip("TeX's package siunitx is not installed")


def typeset(folder, program, names, packages=""):
    """The text of a page with these tables."""
    require_latex(program)
    (folder / "page.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs,siunitx}}{packages}\begin{{document}}"
        + "".join(rf"\input{{{name}.tex}}" for name in names)
        + r"\end{document}"
    )
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    if shutil.which("pdftotext") is None:
        return None
    command = ["pdftotext", "-layout", "page.pdf", "-"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_latex_compiles(nasty, table, emitted, tmp_path):
    emit(nasty, tmp_path)
    shutil.copy(emitted[".tex"], tmp_path)
    typeset(tmp_path, "pdflatex", ["main", "nasty"])


def test_a_paper_takes_in_all_tables_in_order_and_shrinks_wide_ones(table, tmp_path):
    wide = Table("wide", "Wide", table.columns * 6, (), ())
    rows = (Row("r", "FedAvg & Co", tuple(Cell("81.2 ± 0.6") for _ in wide.columns)),)
    for each in (table, replace(wide, rows=rows)):
        emit(each, tmp_path)
    path = write_paper([("WarmFed & more", [table.id]), ("Other", ["wide"])], tmp_path)
    text = path.read_text()
    assert text.index(f"{table.id}.tex") < text.index("wide.tex")
    assert r"WarmFed \& more" in text
    require_latex()
    for asked, order in (
        ("paper.tex", [f"{table.id}.tex", "wide.tex"]),
        (r"\def\only{wide}\input{paper}", ["wide.tex"]),  # one alone, as the file says
    ):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", asked]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        read = re.findall(r"\(\./([a-z0-9_]+\.tex)", done.stdout)
        assert [name for name in read if name != "paper.tex"] == order
        assert "Overfull" not in done.stdout.split("wide.tex")[1]


@pytest.fixture
def scripts():
    """A name per script: Chinese, Japanese, Cyrillic, Greek, Polish, Arabic, and an emoji."""
    names = ("犬 [猫]", "ねこ", "Привет", "Ωμέγα αβγ", "Łódź, «ą»", "مرحبا", "🐈 <b>")
    rows = tuple(Row(f"r{n}", name, (Cell(name),), name) for n, name in enumerate(names))
    return names, Table("scripts", "犬", (Column("ねこ", "Ω"),), rows, ("猫",), "Łódź")


def test_names_of_any_script_stand_in_every_text_format(scripts, tmp_path):
    names, table = scripts
    paths = {path.suffix: path for path in emit(table, tmp_path)}
    for text in (
        " ".join(cell for row in Cells(paths[".html"].read_text()).rows for cell in row),
        markdown_html(paths[".md"].read_text()).replace("&lt;", "<").replace("&gt;", ">"),
        paths[".csv"].read_text(encoding="utf-8"),
    ):
        assert all(name in text for name in names)


def test_latex_shows_other_scripts_or_their_code_points(scripts, tmp_path):
    _, table = scripts
    tex = next(path for path in emit(table, tmp_path) if path.suffix == ".tex").read_text()
    assert tex.startswith(
        "% 犬 ね こ 猫 П р и в е т م ر ح ب ا 🐈: pdfLaTeX shows their code points."
    )
    packages = r"\usepackage[T1]{fontenc}\usepackage{lmodern}"
    text = typeset(tmp_path, "pdflatex", ["scripts"], packages)
    if text is not None:
        assert "[U+72AC] [[U+732B]]" in text
        assert "Łódź" in text
        assert "犬" not in text
    text = typeset(tmp_path, "xelatex", ["scripts"])
    assert text is None or "U+72AC" not in text


def test_no_text_becomes_a_formula_in_a_spreadsheet(tmp_path):
    texts = ("=1+1", "+cmd", "-2+3", "@sum", "\t=x")
    safe = ("+0.3 ± 0.5", "-1.5", "1=1", "−0.3", "")
    rows = tuple(Row(text, text, (Cell(text),), text) for text in texts + safe)
    table = Table("formulas", "=c", (Column("=u", "=g", "="),), rows)
    path = next(path for path in emit(table, tmp_path) if path.suffix == ".csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for column in ("block", "row", "label", "text"):
        assert [line[column] for line in lines] == [*(f"'{text}" for text in texts), *safe]
    assert {(line["header"], line["column"], line["unit"]) for line in lines} == {
        ("'=g", "'=u", "'=")
    }
