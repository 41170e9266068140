"""Clients that join after the last round: is a server's density a better start than other ones?

Algorithm 1 of pFedGPA, new clients (papers/pfedgpa.md §3.1, §3.4, §8 rows 18 to 20): the federation is
played without the last clients, its server is frozen, and each of them alternates local training with a
few guided denoising steps. Beside it stand arms that do without parts of that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from fedgenbench.core.answers import packed, shares
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.data.answers import answers
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.run import data_of, federation
from fedgenbench.federated.types import State
from fedgenbench.systems.job import Context
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
from fedgenbench.systems.pfedgpa.clients import Clients
from fedgenbench.systems.pfedgpa.diffusion import grid
from fedgenbench.systems.pfedgpa.generator import Generator
from fedgenbench.systems.pfedgpa.inversion import Sign, guided_sample, noise_of, sample
from fedgenbench.systems.pfedgpa.method import PFedGPA
from fedgenbench.systems.pfedgpa.study_settings import NewcomerSettings

# Weights [K, D], those of the round before, the round -> generated weights [K, D].
Generate = Callable[[Tensor, Tensor, int], Tensor]


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says how accurate the newcomers are, by arm, round and client."""
    metrics = newcomers(
        context.settings,
        context.dataset,
        context.partition,
        context.device,
        checkpoint=context.checkpoint,
        progress=lambda note: print(f"{context.label}  {note}", file=sys.stderr, flush=True),
    )
    return metrics, f"{len(metrics['clients'])} new clients"


def newcomers(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    device: str,
    *,
    checkpoint: Checkpoint | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """The whole study, a pure function of the arguments before ``checkpoint``.

    ``settings`` are those of pfedgpa's run and ``newcomers`` (``NewcomerSettings``). The two
    federations go on from ``checkpoint``.

    Returns ``clients`` (the new ones), ``residents`` (test accuracies of the others in the last round,
    by method), ``rows`` (see ``Newcomers.play``) and ``density`` (see ``Newcomers.density``).

    Raises:
        UserError: no client is left to play the federation, more steps than the grid has, or no
            generation.
    """
    chosen = NewcomerSettings.model_validate(settings["newcomers"])
    data = data_of(settings, dataset, partition, device)
    total = len(data.train)
    count = max(1, round(chosen.share * total))
    if count == total:
        raise UserError(
            f"pfedgpa.newcomers.share: {chosen.share:g} of {total} clients leaves none to play the "
            "federation: lower it"
        )
    residents = replace(data, train=data.train[:-count], test=data.test[:-count])
    pfedgpa = settings["method_settings"]
    if pfedgpa["generation"] != "diffusion" or pfedgpa["warmup"] >= settings["rounds"]:
        raise UserError(
            "newcomers need a server that has generated: `generation` must be diffusion, and `rounds` "
            "more than `warmup`"
        )
    if max(chosen.steps) > pfedgpa["inversion_steps"]:
        raise UserError(
            f"pfedgpa.newcomers.steps: {max(chosen.steps)} is more than the {pfedgpa['inversion_steps']} "
            "inversion_steps"
        )
    played = {}
    unscored = settings | {"evaluate_every": settings["rounds"]}  # on the way, nothing is asked for
    for method, own in (("pfedgpa", pfedgpa), ("fedavg", {})):
        run = unscored | {"method": method, "method_settings": own}
        kept = checkpoint and checkpoint.below(method)
        played[method] = federation(run, residents, dataset.n_classes, checkpoint=kept)
        played[method].run()
        progress(f"{method} played")
    new = list(range(total - count, total))
    clients = Clients(played["pfedgpa"].method, data, settings, new)
    study = Newcomers(played["pfedgpa"], played["fedavg"].server["model"], clients, chosen)
    rows, last = [], dict[str, State]()
    for name, arm in study.arms().items():
        found, models = arm()
        rows += found
        progress(name)
        # Of an arm with several settings the first, main one.
        last.setdefault(found[0]["arm"], models)
    return {
        "clients": new,
        "residents": {name: run.history[-1]["personal"] for name, run in played.items()},
        "rows": rows,
        "density": study.density(last),
        **answers(study.answers, partition, settings["score_on"], slice(total - count, total)),
    }


class Newcomers:
    """New ``clients`` before the frozen server of ``played``, a finished federation of pfedgpa.

    ``fedavg`` is the last model of FedAvg on the same residents. What new clients get never changes
    the server.
    """

    def __init__(
        self, played: Federation, fedavg: State, clients: Clients, settings: NewcomerSettings
    ):
        server = played.server
        self.method, self.clients, self.settings = played.method, clients, settings
        own, self.seed = self.method.settings, played.seed
        self.answers: dict[str, str] = {}  # of all models that were scored, packed
        self.layout = cast(PFedGPA, self.method).layout
        self.generator = Generator.load(self.layout, own, self.seed, server["generator"])
        buffer = ReplayBuffer.load(self.layout, own.buffer, server["buffer"])
        self.residents, _ = buffer.latest()
        self.grid = grid(own.inversion_steps, 1000)
        count = len(clients.ids)

        def for_all(model: State) -> State:
            return {name: t.expand(count, *t.shape) for name, t in model.items()}

        # The shared initial weights keep newcomers in the frame of the others (§8, row 20).
        device = self.residents.device
        initial = {name: t.to(device) for name, t in self.method.task.initial_state().items()}
        received = {
            name: t
            for name, t in server["model"].items()
            if self.method.shares(name) and name not in self.layout.pattern
        }
        self.initial, self.fedavg = for_all(initial), for_all(fedavg)
        self.received = for_all(initial | received) if received else None

    def arms(self) -> dict[str, Callable[[], tuple[list[dict[str, Any]], State]]]:
        """The arms by a name for the log; each gives its rows and the clients' last models.

        ``local``       local training from the shared initial weights.
        ``fedavg_ft``   local training from the last FedAvg model.
        ``received``    local training from the federation's averaged other layers and the initial
                        generated ones; only where some layers are not generated. All arms below start
                        so too.
        ``unguided``    after each local training s denoising steps.
        ``guided``      the same, led along the client's last update with strength ω.
        ``guided_printed``  the same with the sign of Algorithm 1 as it can be read.
        ``random_guided``   ``guided``, from a sample of the server's density.
        """
        start = self.received or self.initial
        drawn = start | self.drawn()
        arms: dict[str, Callable[[], tuple[list[dict[str, Any]], State]]] = {}
        arms["local"] = partial(self.play, "local", self.initial)
        arms["fedavg_ft"] = partial(self.play, "fedavg_ft", self.fedavg)
        if self.received:
            arms["received"] = partial(self.play, "received", self.received)
        for steps in self.settings.steps:
            unguided = partial(self.guide, steps, -1.0, "towards")
            arms[f"unguided, {steps} steps"] = partial(
                self.play, "unguided", start, unguided, steps=steps
            )
            guided: tuple[tuple[str, State, Sign], ...] = (
                ("guided", start, "towards"),
                ("guided_printed", start, "printed"),
                ("random_guided", drawn, "towards"),
            )
            for omega in self.settings.omegas:
                for arm, first, sign in guided:
                    generate = partial(self.guide, steps, omega, sign)
                    arms[f"{arm}, {steps} steps, ω = {omega:g}"] = partial(
                        self.play, arm, first, generate, steps=steps, omega=omega
                    )
        return arms

    def play(
        self,
        arm: str,
        models: State,
        generate: Generate | None = None,
        *,
        steps: int | None = None,
        omega: float | None = None,
    ) -> tuple[list[dict[str, Any]], State]:
        """I rounds of local training and ``generate``, and a last local training, from ``models``.

        A row is the test accuracy ``value`` of one client: "trained" in round 0, before any training,
        and after the local training of rounds 1 to I + 1; "generated" after generation in rounds
        1 to I. ``steps`` and ``omega`` are what tells arms of one name apart. A client whose weights
        are not ``finite`` any more has the value 0, and the arm goes on: too strong a guidance is a
        finding.
        """
        rows: list[dict[str, Any]] = []

        def record(round_: int, stage: str) -> None:
            whole = [t.flatten(1).isfinite().all(1) for t in models.values()]
            finite = torch.stack(whole).all(0).tolist()
            right = [a & ok for a, ok in zip(self.clients.right(models), finite, strict=True)]
            self.answers[f"{arm} {steps} {omega} {round_} {stage}"] = packed(right)
            rows.extend(
                {"arm": arm, "steps": steps, "omega": omega, "client": client, "round": round_}
                | {"stage": stage, "finite": ok, "value": value}
                for client, ok, value in zip(self.clients.ids, finite, shares(right), strict=True)
            )

        record(0, "trained")
        before = self.vectors(models)
        for round_ in range(1, self.settings.rounds + 2):
            # The streams of a federation's rounds 1, 2, …: `local` is the method of that name.
            models = self.clients.train(models, round_)
            record(round_, "trained")
            if generate is None or round_ > self.settings.rounds:
                continue
            trained = self.vectors(models)
            models = models | self.layout.restore(generate(trained, before, round_))
            before = trained
            record(round_, "generated")
        return rows, models

    def guide(
        self, steps: int, omega: float, sign: Sign, trained: Tensor, before: Tensor, round_: int
    ) -> Tensor:
        """``steps`` denoising steps from ``trained`` [K, D], led along θˡ − θˡ⁻¹ in code units.

        Algorithm 1 takes both from local training: θˡ⁻¹ is ``before``, not what was generated from it.
        """
        codes = self.generator.encode(trained)
        direction = codes - self.generator.encode(before)
        made = guided_sample(
            codes,
            direction,
            self.generator.epsilon,
            self.grid[-steps:],
            omega,
            sign,
            self._draws("guided", round_),
        )
        return self.generator.decode(made)

    def drawn(self) -> State:
        """Generated tensors [K, ...] sampled from the server's density, from pure noise."""
        draws = self._draws("drawn")
        noise = noise_of(self.generator.encode(self.vectors(self.initial)), draws)
        with torch.no_grad():
            codes = sample(noise(), self.generator.epsilon, self.grid, noise)
        return self.layout.restore(self.generator.decode(codes))

    def density(self, models: dict[str, State]) -> list[dict[str, Any]]:
        """How well the frozen server knows the newcomers' weights after each arm's last training.

        Rows ``{"of", "loss", "error"}``: the denoising loss, and the share ‖x − x̂‖/‖x − centre‖ that
        the autoencoder loses; the first of the "residents"' last uploads, which the server learnt from.
        Diverged clients are left out; null where none is left.
        """
        generator, rows = self.generator, []
        vectors = {name: self.vectors(each) for name, each in models.items()}
        for name, each in {"residents": self.residents, **vectors}.items():
            known = each[each.isfinite().all(1)]
            loss = error = None
            if len(known):
                lost = (known - generator.rebuild(known)).norm()
                deviation = (known - generator.normaliser.centre).norm().clamp_min(1e-30)
                loss, error = generator.loss(known), float(lost / deviation)
            rows.append({"of": name, "loss": loss, "error": error})
        return rows

    def vectors(self, models: State) -> Tensor:
        """[K, D]: the generated tensors of ``models`` [K, ...]."""
        # Not Layout.flatten, which refuses a diverged client.
        return torch.cat([models[name].flatten(1) for name in self.layout.pattern], 1).float()

    def _draws(self, *address: str | int) -> list[torch.Generator]:
        """One generator per client, the same for all arms."""
        return [
            torch.Generator().manual_seed(torch_seed(self.seed, "newcomers", *address, client))
            for client in self.clients.ids
        ]
