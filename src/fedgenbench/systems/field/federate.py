"""A method's run on a partition: its rounds, from the first to the last."""

from __future__ import annotations

from typing import Any

from fedgenbench.core.artifacts import read_report
from fedgenbench.federated.run import federate
from fedgenbench.federated.synthetic import read, read_model
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says what every round gave; a killed run goes on from the last round that it kept."""
    images, warm = context.inputs["images"], context.inputs["warm"]
    sent = [read_report(path) for path in context.inputs["adapters"]]
    bytes_sent = [report["adapter_bytes"] + report["embedding_bytes"] for report in sent]
    metrics = federate(
        context.settings,
        context.dataset,
        context.partition,
        context.device,
        synthetic=read(images, context.dataset) if images else None,
        warm=read_model(warm[0]) if warm else None,
        adapter_bytes=sum(bytes_sent) / len(bytes_sent) if sent else 0.0,
        checkpoint=context.checkpoint,
        progress=context.progress(context.settings["rounds"]),
    )
    accuracy = metrics["score"]["personal"]
    return metrics, f"{100 * sum(accuracy) / len(accuracy):.1f} % personalised"
