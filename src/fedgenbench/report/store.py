"""Products on disk: the collected runs, and manifests that say what stands in a folder.

A product's manifest carries the digest in its name; making one removes those of other digests and
what they list. So a folder's content always belongs to its one manifest, and another configuration
finds none.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.core.products import write_manifest
from fedgenbench.report.results import Picture, Results


def shown_pictures(pictures: Iterable[tuple[str, int, str, str, Any]]) -> list[dict[str, Any]]:
    """What a context says of files (experiment, seed, name, path, says): the first seed's, with
    checksums."""
    shown = []
    first: dict[str, int] = {}
    for experiment, seed, name, path, says in pictures:
        if first.setdefault(experiment, seed) == seed:
            drawn = Picture(experiment, seed, name, path, says)
            shown.append(asdict(drawn) | {"sha256": sha256_file(path)})
    return shown


def unchanged(entry: dict[str, Any]) -> Picture:
    """A picture of a context, if its file is what was collected."""
    checksum = entry.pop("sha256")
    if sha256_file(entry["path"]) != checksum:
        raise UserError(f"{entry['path']} is not what the runs were collected with: collect again")
    return Picture(**entry)


@contextlib.contextmanager
def product(manifest: Path, results: Results) -> Iterator[list[Path]]:
    """Takes the files of a product, in the manifest's folder or the one above, and lists them in it.

    What earlier manifests list is removed first: a job that dies on the way leaves no manifest, so
    that a return to the earlier configuration makes its product again.
    """
    for old in manifest.parent.glob(f"{manifest.parent.name}-*.json"):
        with contextlib.suppress(UserError):
            for name in read_json(old)["files"]:
                old.with_name(name).unlink(missing_ok=True)
        old.unlink()
    files: list[Path] = []
    yield files
    runs = results.runs.itertuples()
    write_manifest(
        manifest,
        files,
        {f"{run.experiment}/{run.method}/seed{run.seed}": run.digest for run in runs},
    )
