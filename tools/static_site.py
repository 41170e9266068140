"""The static site: what the repository says and a report, by mkdocs, from any folder to any host.

``python tools/static_site.py results/embedded/report site`` needs requirements/site.txt. Pages keep their
places in the repository, so that links between them hold.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fedgenbench.data.croissant import croissant, described

ROOT = Path(__file__).resolve().parents[1]
# Pages, and what they show or link.
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "CITATION.cff"),
    *("params.yaml", "docs/**/*", "papers/*", "benchmarks/*", "requirements/*"),
    *("models/*/README.md", "models/*/*.png"),
)


def build(report: Path, site: Path) -> None:
    """Writes the site with the report in ``report`` to the folder ``site``, which is emptied before."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch, "pages")
        stage(report, pages)
        (pages.parent / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
        command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--clean"]
        command += [
            "--config-file",
            str(pages.parent / "mkdocs.yml"),
            "--site-dir",
            str(site.resolve()),
        ]
        # The theme's word about its successor is no word about this site.
        subprocess.run(command, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})


def stage(report: Path, pages: Path) -> None:
    """Puts every page of the site below ``pages``, the report where the scale's own stands."""
    for pattern in PAGES:
        for path in ROOT.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                target = pages / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == ".md":
                    target.write_text(
                        _with_report(path.read_text(encoding="utf-8")), encoding="utf-8"
                    )
                else:
                    shutil.copyfile(path, target)
    records = pages / "datasets"
    records.mkdir()
    for name in described():
        text = json.dumps(croissant(name), indent=1, ensure_ascii=False) + "\n"
        (records / f"{name}.json").write_text(text, encoding="utf-8")
    place = pages / "results" / "report"
    place.mkdir(parents=True)
    shown = sorted(each for each in report.iterdir() if each.suffix in (".html", ".pdf"))
    if not shown:
        sys.exit(f"{report} has no report: `snakemake` or `make report` makes one")
    for path in shown:
        shutil.copyfile(path, place / path.name)


def _with_report(text: str) -> str:
    """A page with its links to recorded results led to the site's report."""
    text = re.sub(r"\]\(((?:\.\./)*)results/embedded/report/", r"](\1results/report/", text)
    return re.sub(
        r"\]\(((?:\.\./)*)results/embedded[^)]*\)", r"](\1results/report/report.html)", text
    )


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:3]))
