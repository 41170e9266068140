"""Jobs' metrics in memory, and the frames that reports are made from."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from fedgenbench.report.collect import ADDRESS, Address, collect
from fedgenbench.systems.base import parts
from fedgenbench.systems.collected import views

# What each job's record says beside its metrics.
RECORD = {
    "wall_seconds": 60.0,
    "cpu_seconds": 50.0,
    "peak_memory_bytes": 100,
    "started": "2026-01-01T00:00:00+00:00",
    "device": "cpu",
    "cpu": "x86-64 core",
    "versions": {"torch": "2"},
    "git_revision": None,
    "git_dirty": False,
    "report_sha256": "0" * 64,
}


def address(kind: str, experiment: str, name: str, seed: int, client: int = -1) -> Address:
    return dict(zip(ADDRESS, (experiment, kind, name, seed, client), strict=True))


def frames(
    jobs: Iterable[tuple[Address, Mapping[str, Any]]],
    domains: Mapping[str, list[str] | None] | None = None,
) -> dict[str, pd.DataFrame]:
    """The frames of all systems, of what jobs at these addresses say."""
    modules = [module for _, module in parts("measurements")]
    measures = {kind: said for module in modules for kind, said in module.MEASURES.items()}
    collected = collect(jobs, measures, domains or {}, "smoke")
    return views(collected["measurements"], collected["jobs"])
