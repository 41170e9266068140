"""WarmFed: warm start and fine-tuning on synthetic images, and dynamic self-distillation."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fedgenbench.federated.method import Phase
from fedgenbench.federated.methods.fgl import FGL
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor

ADAM = (0.9, 0.999, 1e-8)  # of the selector: decay of both moments, and the addend
CHOICES = ("latest", "earlier")  # the personal models of the last round and of the one before it
COLLAPSED = 0.99  # of the samples on one side


class WarmFed(FGL):
    """Global rounds on private and synthetic images; a personal model beside, taught by its past.

    The personal model of a round starts from the new global one (papers/warmfed.md §3.1c). Its
    teachers are the logits of the personal models of the last two rounds; a linear selector, trained
    by its own loss, chooses one of them for each sample by straight-through Gumbel-softmax (§3.3).
    Before round 1 nobody teaches, in round 1 there is one teacher.
    """

    label = "WarmFed"
    family = "personalised"
    source = "papers/warmfed.md §3"
    personal = "remembered"
    images = "adapters"

    class Settings(FGL.Settings):
        site: Literal["client_pre", "server_pre_agg", "none"] = Field(
            description="Who trains each local model on synthetic images: the client before its own "
            "data, or the server before it aggregates."
        )
        local_epochs: int = Field(description="Passes of that training.", ge=0)
        teacher: Literal["none", "previous", "mean", "dsd"] = Field(
            description="None, the last round's, the mean of the last two, or DSD's choice."
        )
        pool: Literal["logits", "models"] = Field(
            description="Teachers are logits of images that are not augmented, or models that see "
            "the student's batch."
        )
        lam: float = Field(description="Weight λ of the distillation.", ge=0)
        temperature: float = Field(description="Temperature T of both distributions.", gt=0)
        selector_lr: float = Field(description="Adam's rate for the selector.", gt=0)
        hard: bool = Field(description="One teacher a sample, straight-through; else a mixture.")
        tau: float = Field(description="Gumbel-softmax's temperature in round 1.", gt=0)
        tau_decay: float = Field(description="Its factor per round.", gt=0, le=1)
        tau_floor: float = Field(description="Its lowest value.", gt=0)

    # Global rounds ---------------------------------------------------------------------------
    def phases(self) -> list[Phase]:
        own = Phase(self.epochs, self.step)
        synthetic = Phase(self.settings.local_epochs, self.step, on="synthetic")
        return {
            "client_pre": [synthetic, own],
            "server_pre_agg": [own, synthetic],
            "none": [own],
        }[self.settings.site]

    def hands_out_images(self) -> bool:
        return self.settings.site == "client_pre" and self.settings.local_epochs > 0

    # The personal model ----------------------------------------------------------------------
    def receive(self, slots: Slots, payload: Slots) -> Slots:
        zero = payload["model"][self.task.parameters[0]].new_zeros(())
        names = ("taught", "distillation_loss", "selected", "earlier", "selection_loss")
        return super().receive(slots, payload) | {"log": dict.fromkeys(names, zero)}

    def adapt(self) -> list[Phase]:
        return [Phase(self.epochs, self.learn, gumbels=len(CHOICES))]

    def learn(self, slots: Slots, batch: Batch) -> Slots:
        """A step of the selector, if there is something to select, and one of the personal model."""
        taught = self.teachers(slots, batch)
        if not taught:
            return self.step(slots, batch)
        if self.settings.teacher == "dsd" and len(taught) == len(CHOICES):
            slots, teacher = self.select(slots, taught, batch)
        else:
            total: Any = sum(taught)
            teacher = total / len(taught)

        def loss(model: State) -> tuple[Tensor, tuple[State, Tensor]]:
            from fedgenbench.federated.task import cross_entropy, distillation

            out = self.task.forward(model, batch)
            divergence = distillation(out.logits, teacher, self.settings.temperature, batch.mask)
            total = cross_entropy(out.logits, batch) + self.settings.lam * divergence
            return total, (out.buffers, divergence.detach())

        grads, (buffers, divergence) = self.task.gradient(loss, slots["model"])
        slots = self.task.descend(slots, "model", grads, buffers)
        return _noted(slots, batch, "taught", distillation_loss=divergence)

    def teachers(self, slots: Slots, batch: Batch) -> list[Tensor]:
        """Logits [B, classes] of the past personal models that teach, the latest first."""
        roles = {"none": (), "previous": CHOICES[:1]}.get(self.settings.teacher, CHOICES)
        known = [slots[role] for role in roles if role in slots]
        if self.settings.pool == "logits":
            return [past["logits"][batch.row] for past in known]
        return [self.task.logits(past, batch.x).detach() for past in known]

    def select(self, slots: Slots, taught: list[Tensor], batch: Batch) -> tuple[Slots, Tensor]:
        """The selector after a step of its own loss, and the teacher [B, classes] that it chose."""
        import torch
        from torch.nn.functional import linear, softmax

        from fedgenbench.federated.task import cross_entropy, masked_mean

        assert batch.gumbel is not None  # ``adapt`` asks for the draws
        noise = batch.gumbel
        known, tau = torch.stack(taught, 1), self._tau(slots["clock"]["round"])

        def loss(selector: State) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
            scores = linear(known.flatten(1), selector["weight"], selector["bias"])
            mask = softmax((scores + noise) / tau, 1)
            if self.settings.hard:
                second = (mask[:, 1] > mask[:, 0]).to(mask.dtype)
                mask = torch.stack((1 - second, second), 1) + mask - mask.detach()
            teacher = (mask[:, :, None] * known).sum(1)
            value = cross_entropy(teacher, batch)
            return value, (teacher.detach(), mask.detach(), value.detach())

        grads, (teacher, mask, value) = self.task.grad(loss, slots["selector"])
        slots = self._adam(slots, grads)
        share = masked_mean(mask[:, 1], batch.mask)
        return _noted(slots, batch, "selected", earlier=share, selection_loss=value), teacher

    def _tau(self, round_: Tensor) -> Tensor:
        chosen = self.settings
        return (chosen.tau * chosen.tau_decay ** (round_ - 1)).clamp(min=chosen.tau_floor)

    def _adam(self, slots: Slots, grads: State) -> Slots:
        """Kingma and Ba (2015), algorithm 1; written out, for torch's own does not compose with vmap."""
        first, second, addend = ADAM
        selector, old = slots["selector"], slots["adam"]
        time = old["time"] + 1
        new, moments = {}, {"time": time}
        for name, grad in grads.items():
            mean = first * old[f"mean.{name}"] + (1 - first) * grad
            square = second * old[f"square.{name}"] + (1 - second) * grad.square()
            step = (mean / (1 - first**time)) / ((square / (1 - second**time)).sqrt() + addend)
            new[name] = selector[name] - self.settings.selector_lr * step
            moments |= {f"mean.{name}": mean, f"square.{name}": square}
        return slots | {"selector": new, "adam": moments}

    def remember(self, slots: Slots, logits: Tensor) -> Slots:
        kept = {"log": slots["log"]}
        if self.settings.teacher == "none":
            return kept
        past = {"logits": logits} if self.settings.pool == "logits" else slots["model"]
        kept["latest"] = past
        if "latest" in slots:
            kept["earlier"] = slots["latest"]
        if self.settings.teacher == "dsd":
            if "clock" not in slots:
                slots = slots | _untrained_selector(logits)
            kept |= {role: slots[role] for role in ("selector", "adam")}
            kept["clock"] = {"round": slots["clock"]["round"] + 1}
        return kept

    # The record ------------------------------------------------------------------------------
    def audit(self, server: Slots, clients: Slots, right: Any) -> dict[str, Any]:
        """Means over a round's samples, per client; what did not happen in the round is left out."""
        noted = {name: values.double() for name, values in clients["log"].items()}
        found: dict[str, Tensor] = {}
        if noted["taught"].any():
            found["distillation_loss"] = noted["distillation_loss"] / noted["taught"]
            found["samples"] = noted["taught"] / self.epochs
            found["pool_bytes"] = self._pool_bytes(clients, found["samples"])
        if noted["selected"].any():
            share = noted["earlier"] / noted["selected"]
            # The clock has moved on to the next round.
            tau = self._tau(clients["clock"]["round"].double() - 1)
            found |= {"selection_share": share, "mask_entropy": _bits(share), "tau": tau}
            found["selection_loss"] = noted["selection_loss"] / noted["selected"]
            found["collapsed"] = ((share - 0.5).abs() >= COLLAPSED - 0.5).double()
        return {name: values.tolist() for name, values in found.items()}

    def _pool_bytes(self, clients: Slots, samples: Tensor) -> Tensor:
        """What each client keeps of its past personal models: logits of ``samples`` images, or models."""
        total = samples.new_zeros(len(samples))
        for tensor in (t for role in CHOICES for t in clients.get(role, {}).values()):
            # Clients stand in a stack, their images in rows as many as the largest has.
            of_one = tensor[0, 0] if self.settings.pool == "logits" else tensor[0]
            total += of_one.nbytes * (samples if self.settings.pool == "logits" else 1)
        return total


def _noted(slots: Slots, batch: Batch, count: str, **means: Tensor) -> Slots:
    """Adds a batch's means, weighted by its samples, to the log, and the samples to ``count``."""
    samples = len(batch.x) if batch.mask is None else batch.mask.sum()
    sums = {name: slots["log"][name] + samples * mean for name, mean in means.items()}
    return slots | {"log": slots["log"] | sums | {count: slots["log"][count] + samples}}


def _untrained_selector(logits: Tensor) -> Slots:
    """Both teachers equally likely, whatever they say; Adam's moments at zero."""
    classes = logits.shape[1]
    zeros = {
        "weight": logits.new_zeros(len(CHOICES), len(CHOICES) * classes),
        "bias": logits.new_zeros(len(CHOICES)),
    }
    moments = {f"{kind}.{name}": t for name, t in zeros.items() for kind in ("mean", "square")}
    nothing = logits.new_zeros(())
    return {
        "selector": zeros,
        "adam": moments | {"time": nothing},
        "clock": {"round": nothing},
    }


def _bits(share: Tensor) -> Tensor:
    """Entropy in bits of a choice with the probabilities ``share`` and 1 - ``share``."""
    import torch

    return sum(torch.special.entr(p) for p in (share, 1 - share)) / log(2)
