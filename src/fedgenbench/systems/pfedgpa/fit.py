"""A generator of weights, learnt once, from saved uploads."""

from __future__ import annotations

from typing import Any

from fedgenbench.systems.job import Context
from fedgenbench.systems.pfedgpa.oneshot import fit, save


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the generator; says its losses and how well it gives weights back."""
    (uploads,) = context.inputs["uploads"]
    tensors, notes, metrics = fit(
        context.settings, context.dataset, context.partition, uploads, context.device
    )
    save(context.outputs["generator"], tensors, notes)
    return metrics, f"denoising loss {metrics['loss']:.3f}"
