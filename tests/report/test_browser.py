"""The report in a real browser: no complaint, no broken link, nothing wider than the window."""

from html.parser import HTMLParser

import axe
import pytest
import synthetic_runs
from browser import CHROMIUM, Browser

from fedgenbench.report.document import build_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
]
PAGES = ("report", "pfedgpa", "warmfed", "setup", "costs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    build_report(synthetic_runs.report(folder), folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_nothing_complains(browser, folder, name, width, dark):
    browser.errors.clear()
    browser.open(folder / f"{name}.html", width, dark)
    page = browser.value("document.documentElement.scrollWidth")
    window = browser.value("document.documentElement.clientWidth")
    assert page <= window
    assert browser.errors == []


@pytest.fixture(scope="module")
def rules(request):
    return axe.script(request.config.cache.mkdir("axe-core"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_rule_of_accessibility(browser, folder, rules, name, dark):
    browser.open(folder / f"{name}.html", 1280, dark)
    assert axe.violations(browser, rules) == []


def test_the_runs_behind_a_number_break_no_rule_on_a_narrow_screen(browser, folder, rules):
    browser.open(folder / "pfedgpa.html", 390)
    browser.value("document.querySelector('td[data-seeds]').click()")
    assert axe.violations(browser, rules) == []


def test_a_broken_rule_is_seen(browser, folder, rules):
    browser.open(folder / "report.html", 1280)
    browser.value(
        "document.querySelector('main').insertAdjacentHTML('afterbegin',"
        '\'<img src="data:,"><p style="color: #ddd; background: #fff">Too pale to read</p>\')'
    )
    broken = axe.violations(browser, rules)
    assert {each.partition(":")[0] for each in broken} == {"image-alt", "color-contrast"}


def test_a_client_opens_and_a_synthetic_image_shows_the_private_one_nearest_to_it(browser, folder):
    browser.open(folder / "warmfed.html", 1280)
    seen = "[...document.querySelectorAll('.contact details')].map(each => each.open)"
    assert browser.value(seen) == [True, False]
    browser.value("document.querySelectorAll('.contact summary')[1].click()")
    assert browser.value(seen) == [False, True]
    image = "document.querySelectorAll('.contact details')[1].querySelector('td img')"
    browser.value(f"{image}.decode()")
    assert browser.value(f"[{image}.naturalWidth, {image}.width]") == [8, 128]
    twin = "getComputedStyle(document.querySelectorAll('.pairs .twin')[1]).opacity"
    assert browser.value(twin) == "0"
    browser.value("document.querySelectorAll('.pairs button')[1].focus()")
    assert browser.value(twin) == "1"


@pytest.mark.parametrize("name", PAGES)
def test_no_link_is_broken(folder, name):
    class Links(HTMLParser):
        def __init__(self):
            super().__init__()
            self.links, self.ids = [], []

        def handle_starttag(self, tag, attributes):
            self.links += [v for k, v in attributes if k == "href" and tag == "a"]
            self.ids += [v for k, v in attributes if k == "id"]

    def parsed(path):
        parser = Links()
        parser.feed(path.read_text(encoding="utf-8"))
        return parser

    page = parsed(folder / f"{name}.html")
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        file, _, anchor = link.partition("#")
        target = folder / (file or f"{name}.html")
        assert target.is_file(), link
        assert not anchor or anchor in parsed(target).ids, link


def test_a_number_opens_its_seeds_and_tables_sort_and_search(browser, folder):
    browser.open(folder / "pfedgpa.html", 1280)
    browser.value("document.querySelector('td[data-seeds]').click()")
    said = browser.value("document.querySelector('#runs').innerText")
    assert "seed 0" in said
    browser.value("document.querySelector('#runs').close()")
    rows = "[...document.querySelector('figure.table tbody:last-of-type').rows].slice(1)"
    browser.value("document.querySelectorAll('figure.table thead tr:last-child button')[1].click()")
    values = browser.value(f"{rows}.map(row => parseFloat(row.cells[1].textContent))")
    assert values == sorted(values, reverse=True)
    browser.value(
        "{const box = document.querySelector('input[type=search]'); box.value = 'ditto';"
        "box.dispatchEvent(new Event('input'))}"
    )
    seen = browser.value(f"{rows}.filter(row => !row.hidden).map(row => row.cells[0].textContent)")
    assert seen == ["Ditto"]
