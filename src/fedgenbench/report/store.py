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

import pandas as pd

from fedgenbench.core.artifacts import read_report
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.core.products import write_manifest
from fedgenbench.report.collect import with_measured
from fedgenbench.report.results import Drawn, Results

FRAMES = (
    *("scores", "rounds", "runs", "server", "weights", "newcomers", "synthesis", "fedlmg"),
    *("measured_runs", "measured_synthesis", "measured_fedlmg"),
)


def read_results(folder: Path) -> Results:
    """What the collect rule left in ``folder``."""
    context = read_json(folder / "context.json")
    parts = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
    expected = {(e, m, s): digest for e, m, s, digest in context["expected"]}
    # JSON files have sorted keys; tables follow the order of params.yaml.
    experiments, methods, absent = (
        {key: context[part][key] for key in context["order"][part]}
        for part in ("experiments", "methods", "absent")
    )
    return Results(
        **with_measured(parts),
        experiments=experiments,
        methods=methods,
        expected=expected,
        confidence=context["confidence"],
        newcomer_main=context["newcomer_main"] and tuple(context["newcomer_main"]),
        absent=absent,
        pictures=[_unchanged(entry) for entry in context["pictures"]],
    )


def shown_pictures(
    pictures: Iterable[tuple[str, int, str, str]],
    sources: Iterable[tuple[str, str, str, int, str, int]],
) -> list[dict[str, Any]]:
    """What a context says of files (experiment, seed, name, path): the first seed's, with checksums.

    ``sources`` are those of ``synthesis_frame``; the examined ones say what the pictures' rows are.
    """
    said = {(e, s): read_report(f)["pictures"] for f, _, e, s, k, _ in sources if k == "examined"}
    shown, first = [], {}
    for experiment, seed, name, path in pictures:
        if first.setdefault(experiment, seed) == seed:
            says = said.get((experiment, seed), {}).get(name)
            drawn = Drawn(experiment, seed, name, path, says)
            shown.append(asdict(drawn) | {"sha256": sha256_file(path)})
    return shown


def _unchanged(entry: dict[str, Any]) -> Drawn:
    """A picture of a context, if its file is what was collected."""
    checksum = entry.pop("sha256")
    if sha256_file(entry["path"]) != checksum:
        raise UserError(f"{entry['path']} is not what the runs were collected with: collect again")
    return Drawn(**entry)


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
