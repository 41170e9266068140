"""The static site: what is on it, and that its links lead somewhere."""

import importlib.util
import urllib.parse
from html.parser import HTMLParser

import pytest

import static_site


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        name = {"a": "href", "img": "src", "script": "src", "link": "href"}.get(tag)
        self.links += [value for key, value in attributes if key == name]


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("report", "setup", "costs"):
        (folder / f"{name}.html").write_text(f"<h1>{name}</h1>")
    (folder / "report.pdf").write_bytes(b"%PDF")
    (folder / "report-0123456789.json").write_text("{}")
    return folder


def test_pages_keep_their_places_and_lead_to_the_report(report, tmp_path):
    static_site.stage(report, tmp_path / "pages")
    names = {str(path.relative_to(tmp_path / "pages")) for path in tmp_path.rglob("pages/**/*.*")}
    assert {
        "README.md",
        "docs/running.md",
        "docs/decisions/0004-typst.md",
        "papers/fedlmg.md",
    } <= names
    assert {"models/foundation/README.md", "results/report/setup.html"} <= names
    assert {"datasets/emoji_domains.json", "datasets/cifar10.json"} <= names
    assert "results/report/report-0123456789.json" not in names
    front = (tmp_path / "pages" / "README.md").read_text()
    assert "](results/report/report.pdf)" in front
    assert "](results/embedded" not in front


def test_a_folder_without_a_report_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="has no report"):
        static_site.stage(tmp_path / "empty", tmp_path / "pages")


@pytest.mark.skipif(
    not importlib.util.find_spec("mkdocs"), reason="requirements/site.txt is not installed"
)
def test_no_link_of_the_site_is_broken(report, tmp_path):
    site = tmp_path / "site"
    static_site.build(report, site)
    broken = set()
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links begin at the host
            continue
        for link in Links(page.read_text(encoding="utf-8")).links:
            address = urllib.parse.urlsplit(link)
            if address.scheme or address.netloc or not address.path:
                continue
            if not (page.parent / urllib.parse.unquote(address.path)).exists():
                broken.add(f"{page.relative_to(site)} -> {link}")
    assert broken == set()
