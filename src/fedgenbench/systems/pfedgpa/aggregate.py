"""Weights generated from saved uploads in many ways, with one generator, and scored."""

from __future__ import annotations

from typing import Any

from fedgenbench.data.answers import answers
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
    named = {
        " ".join(str(row[key]) for key in ("rule", "eta", "start")): row.pop("answers")
        for row in rows
    }
    by_model = {f"{row} {stage}": bits for row, own in named.items() for stage, bits in own.items()}
    said = answers(by_model, context.partition, context.settings["score_on"])
    return {"rows": rows} | said, f"{len(rows)} ways of aggregating"
