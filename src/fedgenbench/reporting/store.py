"""Products on disk: the collected runs, and manifests that say what stands in a folder.

A product's manifest carries the digest in its name; writing one removes those of other digests. So
a folder's content always belongs to its one manifest, and another configuration finds none.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.reporting.results import Results
from fedgenbench.runtime.files import read_json, sha256_file, write_json

FRAMES = ("scores", "rounds", "runs")


def read_results(folder: Path) -> Results:
    """What the collect rule left in ``folder``."""
    context = read_json(folder / "context.json")
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
    expected = {(e, m, s): digest for e, m, s, digest in context["expected"]}
    # JSON files have sorted keys; tables follow the order of params.yaml.
    experiments, methods = (
        {key: context[part][key] for key in context["order"][part]}
        for part in ("experiments", "methods")
    )
    return Results(
        **frames,
        experiments=experiments,
        methods=methods,
        expected=expected,
        confidence=context["confidence"],
    )


def write_manifest(manifest: Path, files: list[Path], results: Results) -> None:
    """Lists ``files``, which lie in the manifest's folder, and the runs that they were made from."""
    content: dict[str, Any] = {
        "files": {path.name: sha256_file(path) for path in files},
        "runs": {
            f"{run.experiment}/{run.method}/seed{run.seed}": run.digest
            for run in results.runs.itertuples()
        },
    }
    product = manifest.parent.name
    for old in manifest.parent.glob(f"{product}-*.json"):
        if old != manifest:
            old.unlink()
    write_json(manifest, content)
