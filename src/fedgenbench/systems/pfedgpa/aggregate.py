"""Weights generated from saved uploads in many ways, with one generator, and scored."""

from __future__ import annotations

from typing import Any

from fedgenbench.systems.job import Context
from fedgenbench.systems.pfedgpa.oneshot import aggregate


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says what each way of generating gave every client."""
    (uploads,), (generator,) = context.inputs["uploads"], context.inputs["generator"]
    rows = aggregate(
        context.settings,
        context.dataset,
        context.partition,
        uploads,
        generator,
        context.device,
    )
    return {"rows": rows}, f"{len(rows)} ways of aggregating"
