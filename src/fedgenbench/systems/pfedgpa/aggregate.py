"""Weights generated from saved uploads in many ways, with one generator, and scored."""

from __future__ import annotations

from typing import Any

from fedgenbench.systems.job import Context
from fedgenbench.systems.pfedgpa.oneshot import aggregate


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says what each way of generating gave every client."""
    rows = aggregate(
        context.settings,
        context.dataset,
        context.partition,
        *context.inputs["uploads"],
        *context.inputs["generator"],
        context.device,
    )
    return {"rows": rows}, f"{len(rows)} ways of aggregating"
