"""What clients upload in a federation without generation."""

from __future__ import annotations

from typing import Any

from fedgenbench.systems.job import Context
from fedgenbench.systems.pfedgpa.oneshot import save, uploads


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the uploads; says how accurate the models are that they are of."""
    tensors, said = uploads(
        context.settings,
        context.dataset,
        context.partition,
        context.device,
        checkpoint=context.checkpoint,
        progress=context.progress(context.settings["rounds"]),
    )
    save(context.outputs["uploads"], tensors, {"digest": context.digest})
    own = said["accuracy"]["test"]
    return said, f"{100 * sum(own) / len(own):.1f} % before generation"
