"""θ_g^0: the first global model, trained on synthetic images alone (WarmFed sheet §3.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import SGDSettings
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.federated.data import normalised
from fedgenbench.federated.synthetic import Synthetic, read, save_model
from fedgenbench.models import build
from fedgenbench.models.layers import needs_two_images, require_two_images
from fedgenbench.models.statistics import recalibrate
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the model; says the mean loss of each epoch."""
    synthetic = read(context.inputs["images"], context.dataset)
    model, losses = warm_start(
        context.settings,
        synthetic,
        context.dataset.n_classes,
        context.device,
        context.progress(context.settings["warm_start"]["epochs"]),
    )
    save_model(context.outputs["model"], model)
    content = {"kind": context.name, "images": len(synthetic.labels), "losses": losses}
    return content, f"loss {losses[-1]:.3f}"


def warm_start(
    settings: dict[str, Any], synthetic: Synthetic, classes: int, device: str, tell: Any
) -> tuple[dict[str, Tensor], list[float]]:
    """θ_g^0 (WarmFed sheet §3.1): a model trained from scratch on synthetic images alone.

    ``settings`` are those of a job of kind "warm". The initial weights are the ones that
    all methods of the repetition share. Returns the model's tensors and the mean loss per epoch;
    the last epoch's model, with no choice among them.
    """
    chosen, seed = SGDSettings.model_validate(settings["warm_start"]), settings["seed"]
    x, _ = normalised(synthetic.images, settings["mean"], settings["std"], device)
    x, y = x.movedim(-1, -3), torch.from_numpy(synthetic.labels).to(device)
    weights = torch_seed(seed, "weights", settings["model"])
    model = build(settings["model"], tuple(x.shape[1:]), classes, weights).to(device).train()
    optimiser = torch.optim.SGD(
        model.parameters(), chosen.lr, chosen.momentum, weight_decay=chosen.weight_decay
    )
    in_twos, losses = needs_two_images(model, tuple(x.shape[1:])), []
    if in_twos:
        key = "warmfed.warm_start.batch_size"
        require_two_images("the warm start", key, len(x), chosen.batch_size)
    for epoch in range(chosen.epochs):
        order = torch.from_numpy(stream(seed, "warm start", epoch).permutation(len(x))).to(device)
        total = 0.0
        for rows in order.split(chosen.batch_size):
            if in_twos and len(rows) == 1:
                continue
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows])[0], y[rows])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
        tell(epoch + 1, f"loss {losses[-1]:.3f}")
    if not np.isfinite(losses).all():
        raise UserError("the warm start diverged: lower warmfed.warm_start.lr")
    if chosen.statistics == "recalibrated":
        recalibrate(model, x.__getitem__, len(x))
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}, losses
