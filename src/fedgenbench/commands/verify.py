"""Finished jobs' files against the checksums that were written with them. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tabulate import tabulate

from fedgenbench.commands.record import listing_path, same
from fedgenbench.core.artifacts import KEY, anew, load
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.core.products import altered, manifests
from fedgenbench.core.reports import whole_report
from fedgenbench.data import dataset
from fedgenbench.data.partition import Partition
from fedgenbench.data.sources import source_of
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.systems.base import kinds


@dataclass
class Check:
    """What was looked at of one kind.

    total: how many the grid has. finished: how many are there. faults: sentences on those that are
    not as recorded.
    """

    kind: str
    total: int = 0
    finished: int = 0
    faults: list[str] = field(default_factory=list)


def verified(grid: Grid) -> list[Check]:
    """Raw files, prepared sets, partitions, jobs, products and listings of a grid."""
    results = Path("results", grid.settings.scale)
    raw = [
        (Path("data/raw", name, file), pin)
        for name in grid.used_data
        for file, pin in source_of(name)["files"].items()
        if pin
    ]
    return [
        _checked("raw files", ((path, partial(_pinned, path, pin)) for path, pin in raw)),
        _checked(
            "prepared sets",
            (
                (Path(part.folder, "card.json"), partial(dataset.load, part.folder))
                for part in grid.used_data.values()
            ),
        ),
        _checked(
            "partitions",
            (
                (Path(part.path), partial(Partition.load, part.path))
                for part in grid.partitions.values()
            ),
        ),
        *(
            _checked(kind, ((Path(job.metrics), partial(_job, job)) for job in grid.of_kind(kind)))
            for kind in kinds()
        ),
        _checked("products", ((each, partial(_product, each)) for each in manifests(results))),
        *_listings(grid.settings.scale),
    ]


def shown(checks: list[Check]) -> str:
    """A table of the checks, and below it what is not as recorded."""
    rows = [[c.kind, c.total, c.finished, len(c.faults)] for c in checks if c.total]
    table = tabulate(rows, headers=["what", "in the grid", "there", "not as recorded"])
    faults = [fault for check in checks for fault in check.faults]
    count = sum(check.finished for check in checks)
    if not faults:
        said = f"All {count} that are there are as recorded." if count else "Nothing is there yet."
        return f"{table}\n\n{said}"
    return "\n".join([table, "", "Not as recorded:", *(f"  {fault}" for fault in faults)])


def _checked(kind: str, items: Iterable[tuple[Path, Callable[[], object]]]) -> Check:
    """Each item is the file that stands for a job and what raises a UserError if it is altered."""
    check = Check(kind)
    for path, look in items:
        check.total += 1
        if path.is_file():
            check.finished += 1
            try:
                look()
            except UserError as error:
                check.faults.append(str(error))
            except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
                check.faults.append(
                    f"{path} or a file beside it is damaged ({error!r}): {anew(path)}"
                )
    return check


def _pinned(path: Path, pin: str) -> None:
    if sha256_file(path) != pin:
        raise UserError(f"{path} is not the file that sources.yaml pins: delete it and fetch again")


def _job(job: Job) -> None:
    whole_report(job.metrics, job.digest)
    for path in sorted(Path(job.folder).glob("*.safetensors")):
        load(path, _kind(path))


def _kind(path: Path) -> str:
    """The kind that an artifact says it is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return json.loads((file.metadata() or {})[KEY])["kind"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): {anew(path)}") from error


def _product(manifest: Path) -> None:
    if names := altered(manifest):
        raise UserError(
            f"{manifest.parent}: {', '.join(names)}: altered or deleted since made; the next `snakemake` "
            "makes it again"
        )


def _listings(scale: str) -> Iterator[Check]:
    """What ``dvc repro`` listed, phase by phase."""
    for phase in ("data", "runs", "report"):
        path = listing_path(scale, phase)
        if path.is_file():
            files = read_json(path)
            there = {name: check for name, check in files.items() if Path(name).is_file()}
            faults = [
                f"{name} is not as {path} lists it: `dvc repro` makes it or lists it anew"
                for name, checksum in there.items()
                if not same(Path(name), checksum)
            ]
            yield Check(f"listed in {path.name}", len(files), len(there), faults)
