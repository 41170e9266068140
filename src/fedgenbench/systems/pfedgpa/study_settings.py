"""Settings of the studies beside the rounds; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from fedgenbench.core.settings import Distinct, PlainName, explain
from fedgenbench.federated.method import MethodSettings, method_class
from fedgenbench.models.limits import missing_layers
from fedgenbench.systems.base import Block, Place
from fedgenbench.systems.pfedgpa.settings import STEPS_OF_T, GeneratorSettings, RuleName

# The arms of the newcomers' study, and what tables and figures call them.
ARMS = {
    "local": "from scratch",
    "fedavg_ft": "FedAvg + fine-tuning",
    "received": "averaged layers, fine-tuned",
    "unguided": "denoised without guidance",
    "guided": "guided",
    "guided_printed": "guided, printed sign",
    "random_guided": "random start, guided",
}

# These shape the uploads, which all fits of a study share.
OF_THE_UPLOADS = frozenset({"layers", "buffer"})


class AggregateRow(MethodSettings):
    """One way of generating from the same fitted generator."""

    rule: RuleName = Field(description="Inversion in place of Eq. (15).")
    eta: float = Field(ge=0, description="Scale of the solved noises, where the rule has them.")
    start: int = Field(ge=1, le=STEPS_OF_T, description="Step that inversion starts from.")


class Fit(MethodSettings):
    """One generator, learnt once from the saved uploads."""

    generator: dict[str, Any] = Field(
        description="What differs from the method's own settings, e.g. {autoencoder: conv}."
    )
    rows: Annotated[list[AggregateRow], Distinct] = Field(
        min_length=1, description="What is generated with it."
    )
    density: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        default=[],
        description="How many stored uploads of each client, the oldest first, it is asked of what the "
        "density learnt from them knows of a client that it never saw.",
    )

    @field_validator("generator")
    @classmethod
    def _of_the_generator(cls, value: dict[str, Any]) -> dict[str, Any]:
        allowed = sorted(GeneratorSettings.model_fields.keys() - OF_THE_UPLOADS)
        for name in value:
            if name not in allowed:
                raise ValueError(f"{name!r} is none of {', '.join(allowed)}")
        return value


class OneShotSettings(MethodSettings):
    """The one-shot study: generators fitted to the same saved uploads (papers/pfedgpa.md §8)."""

    fits: dict[PlainName, Fit] = Field(min_length=1, description="By name, which stands in paths.")

    def of_fit(self, name: str, run: dict[str, Any]) -> dict[str, Any]:
        """The settings of ``oneshot.fit`` and ``aggregate``, from those of pfedgpa's ``run``.

        Values in ``method_settings`` are merged, not checked.
        """
        fit = self.fits[name]
        return run | {
            "method_settings": run["method_settings"] | fit.generator,
            "rows": [row.model_dump() for row in fit.rows],
            "density": fit.density,
        }


class NewcomerSettings(MethodSettings):
    """Clients that join after the last round (papers/pfedgpa.md §8, row 19).

    The first of ``steps`` and of ``omegas`` is the main setting.
    """

    share: float = Field(gt=0, lt=1, description="Share of clients held out: the last ones.")
    rounds: int = Field(
        ge=1, description="Initialisation rounds I of local training and generation."
    )
    steps: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        min_length=1, description="Denoising steps s of a round, the lowest of `inversion_steps`."
    )
    omegas: Annotated[list[Annotated[float, Field(ge=-1)]], Distinct] = Field(
        min_length=1, description="Guidance strengths ω; -1 is none."
    )


class PFedGPA(Block):
    """pFedGPA's generator apart from its rounds: on saved uploads, and for clients that join later."""

    in_rounds = True

    oneshot: OneShotSettings | None = Field(
        default=None, description="The generator on saved uploads, away from the rounds."
    )
    newcomers: NewcomerSettings | None = Field(
        default=None, description="Clients that join the federation after its last round."
    )

    def problems(self, place: Place) -> Iterator[str]:
        where = f"{place.where}.pfedgpa"
        if "pfedgpa" not in place.settings.methods:
            yield f"{where}: its jobs are of pfedgpa, which `methods` lacks"
            return
        if not (self.oneshot or self.newcomers):
            yield f"{where}: asks for nothing; give it oneshot or newcomers, or set it to null"
        _, values = place.settings.played(place.name, "pfedgpa")
        if "pfedgpa" not in place.experiment.rows:  # else both are said of the row
            yield from _refused(f"{place.where}: pfedgpa", values)
            model, layers = place.experiment.model, values.get("layers", ())
            yield from missing_layers(f"{place.where}: pfedgpa.layers", model, layers)
        for name, fit in self.oneshot.fits.items() if self.oneshot else ():
            yield from _refused(f"{where}.oneshot.fits.{name}.generator", values | fit.generator)

    def client_problems(self, place: Place) -> Iterator[str]:
        yield from self._density_problems(place)
        if not self.newcomers:
            return
        where, joining, clients = f"{place.where}.pfedgpa.newcomers", self.newcomers, place.sizes[0]
        residents = clients - max(1, round(joining.share * clients))
        _, values = place.settings.played(place.name, "pfedgpa")
        settings: Any = method_class("pfedgpa").Settings.model_validate(values)
        present = max(1, round(place.experiment.participation * residents))
        if residents < 2:
            yield f"{where}.share: {joining.share:g} of {clients} clients leaves {residents}"
        elif problem := settings.fault(present, place.experiment.rounds):
            yield f"{where}: {problem}"
        if max(joining.steps) > settings.inversion_steps:
            most = settings.inversion_steps
            yield f"{where}.steps: {max(joining.steps)} is more than inversion_steps {most}"

    def _density_problems(self, place: Place) -> Iterator[str]:
        """Counts that are not stored, or too few for an autoencoder."""
        _, values = place.settings.played(place.name, "pfedgpa")
        for name, fit in self.oneshot.fits.items() if self.oneshot else ():
            if not fit.density:
                continue
            where, least = f"{place.where}.pfedgpa.oneshot.fits.{name}.density", min(fit.density)
            made, most = values | fit.generator, max(fit.density)
            stored = min(made["buffer"], place.experiment.rounds)
            if most > stored:
                yield f"{where}: {most} is more than the {stored} uploads stored of each client"
            uploads = (place.sizes[0] - 1) * least
            if made["autoencoder"] == "linear" and uploads <= made["components"]:
                yield (
                    f"{where}: {least} of each client but one are {uploads} uploads, and the "
                    f"autoencoder needs more than its {made['components']} components"
                )


def _refused(where: str, values: dict[str, Any]) -> Iterator[str]:
    """What the method's own type refuses."""
    try:
        method_class("pfedgpa").Settings.model_validate(values)
    except ValidationError as error:
        yield from (explain(item, (where,)) for item in error.errors())
