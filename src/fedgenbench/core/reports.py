"""A job's report in two files: what its settings decide, and what was measured while it ran.

The first is equal to the byte whenever the same code runs with the same settings; the second, beside
it, has times, memory and machine.
"""

from pathlib import Path
from typing import Any

from fedgenbench.core.artifacts import read_report, write_report
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file, write_json

# Of a report's entries, those that come out otherwise the next time: a kill and a full memory too.
MEASURED = frozenset({"seconds_per_image", "client_seconds", "notes", "shards_drawn"})


def run_file(report: str | Path) -> Path:
    """Where the measured part of ``report`` lies."""
    return Path(report).with_name("run.json")


def save_report(report: str | Path, content: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Writes ``content`` without ``MEASURED``, and beside it these with ``provenance``."""
    write_report(report, {key: value for key, value in content.items() if key not in MEASURED})
    measured = {key: value for key, value in content.items() if key in MEASURED}
    facts = {"digest": content["digest"], "report_sha256": sha256_file(report)}
    write_json(run_file(report), provenance | measured | facts)


def whole_report(report: str | Path, digest: str) -> dict[str, Any]:
    """Both parts as one, if they belong together and repeat ``digest``.

    Raises:
        UserError: names the file, and the way out.
    """
    content, run = read_report(report), read_json(run_file(report))
    if content["digest"] != digest:
        raise UserError(
            f"{report} was made by other code or settings (digest {content['digest']}, expected "
            f"{digest}): delete it and run again"
        )
    if run.get("report_sha256") != sha256_file(report):
        raise UserError(
            f"{report} is not what {run_file(report)} was written with: delete both and run again"
        )
    return run | content
