"""Recorded numbers in README.md and docs, which ``python -m fedgenbench.report.quotes`` renews.

A number stands between two comments, which a reader of the page does not see. The first says where it
comes from:

    FedAvg ends at <!--metrics: emoji_domains / fedavg / global: x100 .0f-->26<!---->

that is a file of ``SOURCES`` or a table's name, the place in it, and how it is written. A place in JSON
or YAML is a chain of keys; in a table it is block / row / upper header / column, and without a format the
cell as it is printed. ``x100`` makes per cent of a share, ``count`` counts entries.
"""

import csv
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fedgenbench.core.errors import UserError

SOURCES = {
    "metrics": "results/embedded/metrics.json",
    "runs": "results/embedded/tables/tables-*.json",
    "foundation": "models/foundation/evidence.json",
    "foundation strict": "models/foundation_strict/evidence.json",
    "foundation training": "models/foundation/provenance.json",
    "foundation early": "models/foundation_early/provenance.json",
    "unclip": "models/unclip/evidence.json",
    "params": "params.yaml",
}
TABLES = "results/embedded/tables"
PAGES = ("README.md", "docs/*.md", "docs/decisions/*.md")
_QUOTE = re.compile(r"<!--([\w -]+): (.+?)(?:: ([^:>/]+))?-->(.*?)<!---->", re.S)


def updated(text: str, root: Path) -> str:
    """The page ``text`` with every quoted number as it is recorded below ``root``.

    Raises UserError, with the quotation, where there is no such number.
    """

    def number(quotation: re.Match[str]) -> str:
        source, place, how, _ = quotation.groups()
        opening = quotation[0].partition("-->")[0] + "-->"
        try:
            return f"{opening}{_written(_value(root, source, place), how)}<!---->"
        except (LookupError, OSError, TypeError, ValueError) as error:
            raise UserError(
                f"{opening} names nothing that is recorded ({error!r}): correct the place "
                "(fedgenbench/report/quotes.py says how it is written)"
            ) from error

    return _QUOTE.sub(number, text)


def quotations(text: str) -> int:
    """How many numbers of a page are quoted."""
    return len(_QUOTE.findall(text))


def _value(root: Path, source: str, place: str) -> Any:
    keys = [key.strip() for key in place.split(" / ")]
    if source not in SOURCES:
        block, row, header, column = keys
        for line in _table(root / TABLES / f"{source}.csv"):
            if [line[k] for k in ("block", "row", "header", "column")] == [
                block,
                row,
                header,
                column,
            ]:
                return line
        raise LookupError(f"no such cell in {source}")
    (path,) = root.glob(SOURCES[source])
    value = _tree(path)
    for key in keys:
        value = value[int(key) if isinstance(value, list) else key]
    return value


def _written(value: Any, how: str | None) -> str:
    if how == "count":
        return str(len(value))
    if isinstance(value, dict):  # a cell
        if how is None:
            return value["text"]
        value = float(value["mean"])
    factor, _, spec = (how or "").rpartition(" ")
    text = f"{100 * value if factor == 'x100' else value:{spec}}"
    return text.replace("-", "−")


@cache
def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _tree(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def pages(root: Path) -> list[Path]:
    return sorted(page for pattern in PAGES for page in root.glob(pattern))


if __name__ == "__main__":
    from fedgenbench.core.files import write_text

    for page in pages(Path()):
        text = page.read_text(encoding="utf-8")
        if (new := updated(text, Path())) != text:
            write_text(page, new)
            print(f"{page}: up to date again")
