"""Writes the table of docs/statistics.md: how often intervals hold what is true, on made-up answers.

python tools/coverage.py
"""

from pathlib import Path

from tabulate import tabulate

from fedgenbench.core.files import write_text
from fedgenbench.report.coverage import SCENARIOS, coverage

PAGE = Path(__file__).parents[1] / "docs/statistics.md"
BEGIN, END = "<!-- coverage: written by tools/coverage.py -->\n", "<!-- end -->"
DRAWS = 2000
SIZES = [(seeds, images) for seeds in (3, 5, 10) for images in (100, 600)]


def table() -> str:
    rows = []
    for scenario in SCENARIOS:
        for seeds, images in SIZES:
            found = coverage(scenario, seeds, images, DRAWS)
            cells = [f"{100 * held:.1f} (± {half:.1f})" for held, half in found.values()]
            rows.append([scenario.name, seeds, images, *cells])
    head = ["made-up answers", "seeds", "images", "over seeds", "over seeds and images"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    write_text(PAGE, f"{before}{BEGIN}{table()}\n{END}{after}")
