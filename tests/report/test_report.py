import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import synthetic_runs
from nasty_names import NASTY

from fedgenbench.core.errors import UserError
from fedgenbench.report.answers import Answer
from fedgenbench.report.document import Report, build_report
from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.section import Illustration, Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.verdicts import Claim

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.text, self.addresses, self.tags = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        self.text += data


def pdf_text(path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    return subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True
    ).stdout


PAGES = ("report", "pfedgpa", "warmfed", "setup", "costs")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_from_elsewhere(report_folder, name):
    text = (report_folder / f"{name}.html").read_text()
    page = Page(text)
    assert page.addresses
    files = {address.partition("#")[0] for address in page.addresses}
    files = {address for address in files if not address.startswith(("data:", "https:"))} - {""}
    assert {f"{each}.html" for each in PAGES} <= files
    assert all((report_folder / address).is_file() for address in files)
    assert "iframe" not in page.tags
    assert "@import" not in text
    assert "url(" not in text


def test_equal_reports_give_equal_bytes(report_folder, tmp_path):
    for path in build_report(synthetic_runs.report(tmp_path), tmp_path):
        assert path.read_bytes() == (report_folder / path.name).read_bytes()


def test_other_times_give_an_equal_report_and_other_costs(report_folder, tmp_path):
    report = synthetic_runs.report(tmp_path)
    runs = report.results.runs
    slower = {"wall_seconds": 9 * runs["wall_seconds"], "started": "2001-01-01T00:00:00+00:00"}
    slower["peak_memory_bytes"] = 2 * runs["peak_memory_bytes"]
    report = replace(report, results=replace(report.results, runs=runs.assign(**slower)))
    for path in build_report(report, tmp_path):
        equal = path.read_bytes() == (report_folder / path.name).read_bytes()
        assert equal == (path.stem != "costs"), path
    page = Page((tmp_path / "costs.html").read_text()).text
    assert "what it cost, measured on this machine" in page
    assert "What it cost (measured on this machine)" in page
    assert "the first started 2001-01-01T00:00:00+00:00" in page


def titles(path):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", path.read_text())


def test_the_overview_has_papers_scoreboard_and_highest_methods(report_folder):
    path = report_folder / "report.html"
    assert titles(path) == ["pFedGPA", "WarmFed", "Scoreboard of claims", "The highest methods"]
    page = Page(path.read_text()).text
    assert "198 runs of 22 methods on 3 experiments at embedded scale" in page
    assert "Of 4 claims of the papers: 1 supported, 1 contradicted, 1 undecided" in page
    assert "pFedGPA − FedPAC = −0.5" not in page  # evidence in full has a page of its own


def test_a_paper_has_a_page_with_its_tables_and_evidence(report_folder):
    assert titles(report_folder / "pfedgpa.html") == [
        *("pFedGPA", "What was run", "What it shows", "Tables", "Figures"),
        "Claims and their evidence",
    ]
    assert "pFedGPA − FedPAC = −0.5 ± 0.3" in (report_folder / "pfedgpa.html").read_text()


def test_how_it_was_run_has_a_page(report_folder):
    assert titles(report_folder / "setup.html") == [
        *("What ran", "Controls", "What was cut for the scale", "Data", "Provenance")
    ]


def test_pdf_says_the_same(report_folder):
    text = pdf_text(report_folder / "report.pdf")
    assert "198 runs of 22 methods on 3 experiments at embedded scale" in text
    assert "Scoreboard of claims" in text
    assert "WarmFed" in text
    assert "Random guess" in pdf_text(report_folder / "pfedgpa.pdf")
    setup = pdf_text(report_folder / "setup.pdf")
    for row in ("CC-BY-4.0", "200 × 5"):
        assert row in setup


def test_without_claims_cards_and_cuts_their_parts_are_left_out(tmp_path):
    grid = synthetic_runs.results(1, 1, ("fashion_mnist-10",), ("local", "centralised", "fedavg"))
    build_report(Report("Small", grid, [], [], []), tmp_path)
    assert titles(tmp_path / "report.html") == ["The highest methods"]
    assert titles(tmp_path / "setup.html") == ["What ran", "Controls", "Provenance"]


def test_nasty_text_comes_out_as_it_went_in(tmp_path):
    grid = synthetic_runs.results(2, 1, ("fashion_mnist-10",), ("local", "centralised", "fedavg"))
    experiment = grid.experiments["fashion_mnist-10"] | {"title": NASTY, "partition": NASTY}
    grid = replace(
        grid,
        experiments={"fashion_mnist-10": experiment},
        methods=dict(grid.methods) | {"fedavg": grid.methods["fedavg"] | {"label": NASTY}},
    )
    claim = Claim("c", NASTY, NASTY, "supported", NASTY)
    section = Section(
        *(NASTY, NASTY, [NASTY]),
        figures=[Illustration("p", NASTY, SVG, 1.0)],
        claims=[claim],
        absent=[{"title": NASTY, "reason": "no data", "command": NASTY}],
        answer=Answer(NASTY, "yes", NASTY),
        forests=[Forest("f", NASTY, [Effect(NASTY, Interval(0.5, None, None, 2))])],
        name="nasty",
    )
    cut = {"experiment": "x", "setting": NASTY, "here": NASTY, "paper": NASTY, "reason": NASTY}
    build_report(Report(NASTY, grid, [section], [], [cut]), tmp_path)
    for name, most in {"report": 8, "nasty": 16, "setup": 6}.items():
        assert Page((tmp_path / f"{name}.html").read_text()).text.count(NASTY) >= most, name
        squeezed = re.sub(r"\s", "", pdf_text(tmp_path / f"{name}.pdf"))
        assert re.sub(r"\s", "", NASTY) in squeezed


def test_the_pdf_says_what_its_fonts_lack(tmp_path):
    grid = synthetic_runs.results(1, 1, ("fashion_mnist-10",), ("local", "centralised", "fedavg"))
    build_report(
        Report("Ω 犬, Привет", grid, [Section("猫", "猫 and 犬.", name="cats")], [], []), tmp_path
    )
    assert "Ω 犬, Привет" in (tmp_path / "report.html").read_text(encoding="utf-8")
    text = " ".join(pdf_text(tmp_path / "setup.pdf").split())
    assert "Ω [U+72AC], Привет" in text
    assert "[U+732B] and [U+72AC]." in text
    assert "The fonts of this file lack 2 characters of names here" in text


def test_an_unknown_verdict_is_refused():
    with pytest.raises(UserError, match="'perhaps'"):
        Claim("c", "text", "source", "perhaps", "evidence")
