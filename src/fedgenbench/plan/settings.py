"""``params.yaml`` to typed, validated settings. Unknown keys are refused, nothing is guessed.

The file holds the ``embedded`` scale; ``scales.smoke`` and ``scales.paper`` are overlays, merged key
by key over it (a list replaces a list). All three are validated whichever is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml, typed
from fedgenbench.core.scales import SCALES, Scale
from fedgenbench.core.settings import (
    Distinct,
    PathName,
    PlainName,
    Seed,
    Strict,
    explain,
)
from fedgenbench.core.wording import counted, unknown
from fedgenbench.data.partition import Scheme
from fedgenbench.federated.aggregation import Aggregation
from fedgenbench.federated.method import method_class
from fedgenbench.federated.privacy import Local
from fedgenbench.federated.reception import Poisoned
from fedgenbench.models.registry import FederatedModel
from fedgenbench.plan.checks import faults, not_finite
from fedgenbench.plan.merging import combine, merge
from fedgenbench.plan.selection import Only, selecting
from fedgenbench.plan.variant import Variant
from fedgenbench.systems.base import Block, systems
from fedgenbench.systems.foundation.settings import Foundation
from fedgenbench.systems.foundation.unclip_settings import UnCLIP


class Dataset(Strict):
    """How a data set is prepared and shown to a model."""

    title: str = Field(description="Name in tables.")
    limit_per_class: int | None = Field(
        ge=1, description="Training and test images kept per class; null keeps all."
    )
    mean: list[float] = Field(min_length=1, description="Per channel, images scaled to [0, 1].")
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="Per channel.")
    augment: bool = Field(description="Random crop after a border of 4, and horizontal flip.")
    on_bad_image: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="A damaged image in a folder that was placed ends the preparation, or is left "
        "out and named in the card.",
    )
    on_twins: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="A training image with the pixels of a test image, in a folder that was placed, "
        "ends the preparation, or is left out and named in the card.",
    )


class Experiment(Strict):
    """One row of the grid: a data set, a partition, a model, a budget, and the methods compared."""

    title: str = Field(description="Name in tables and figures.")
    dataset: str = Field(description="A key of `datasets`.")
    partition: Scheme = Field(discriminator="scheme", description="Who holds which images.")
    model: FederatedModel = Field(description="The clients' classifier.")
    rounds: int = Field(ge=1, description="Communication rounds.")
    participation: float = Field(gt=0, le=1, description="Share of clients in a round.")
    local: Local = Field(description="Local training.")
    engine: Literal["sequential", "vmap"] = Field(description="How clients are run.")
    evaluate_every: int = Field(
        ge=1, description="Rounds between evaluations; the first and last are always evaluated."
    )
    report_global: bool = Field(
        description="Also report the server's model, not only the clients' own."
    )
    methods: Annotated[list[str], Distinct] = Field(
        description="Keys of `methods`; none where `fedlmg` alone is asked, which has no rounds."
    )
    ablations: Annotated[list[str], Distinct] = Field(
        default=[], description="Keys of `variants` that are run beside, for tables of their own."
    )
    overrides: dict[str, dict[str, Any]] = Field(
        default={}, description="Settings of methods that differ in this experiment."
    )
    aggregation: Aggregation | None = Field(
        default=None,
        discriminator="rule",
        description="How the server averages uploads (docs/robustness.md); null: the mean by samples.",
    )
    poisoned: Poisoned | None = Field(
        default=None, description="Clients that send something else than what they have trained."
    )
    score_on: Literal["test", "valid"] = Field(
        default="test",
        description="valid scores on the images that partition.valid_fraction sets aside: for tuning, "
        "in tables of its own.",
    )
    score_rounds: int | None = Field(
        default=None, ge=1, description="In place of the scale's, where rounds are fewer."
    )
    leave_one_out: Annotated[list[str], Distinct] = Field(
        default=[],
        description="Methods that are also run without each domain in turn and scored on it.",
    )
    beside: str | None = Field(
        default=None,
        description="The experiment whose tables show this one at another number of clients.",
    )
    note: str = Field(description="What was cut against the papers' setting; printed in reports.")

    @property
    def rows(self) -> tuple[str, ...]:
        """The methods and variants that it plays, in order."""
        return (*self.methods, *self.ablations)

    def block(self, name: str) -> Any:
        """The block of a system, None where the experiment has none."""
        return getattr(self, name)

    @property
    def blocks(self) -> dict[str, Block]:
        """The blocks that it has, by system."""
        return {name: block for name in BLOCKS if (block := self.block(name)) is not None}

    @property
    def trains_in_rounds(self) -> bool:
        """Does a job of it train clients as the rounds do?"""
        return bool(self.rows) or any(block.in_rounds for block in self.blocks.values())


BLOCKS = {name: system.settings for name, system in systems().items() if system.settings}
if TYPE_CHECKING:
    _WithBlocks = Experiment
else:
    _WithBlocks = create_model(
        "Experiment",
        __base__=Experiment,
        __doc__=Experiment.__doc__,
        **{
            name: (block | None, Field(default=None, description=block.__doc__.splitlines()[0]))
            for name, block in BLOCKS.items()
        },
    )


class Forecast(Strict):
    """Measured costs that a dry run's forecast is made of."""

    seconds_per_1000_samples: dict[str, float] = Field(
        description="Training cost of a model on one CPU core: forward, backward and update."
    )
    passes: dict[str, float] = Field(
        description="Cost of a method's local training relative to FedAvg's; 1 if absent."
    )
    server_seconds: dict[str, float] = Field(
        description="What the server of a row, or of its method, takes a round; 0 if absent."
    )
    guided_step_seconds: float = Field(
        ge=0, description="One gradient of guidance for one image, on one CPU core."
    )
    start_seconds: float = Field(ge=0, description="Start of a job: imports and data.")


class Settings(Strict):
    """The whole configuration at one scale."""

    scale: Scale = Field(description="What `snakemake` runs.")
    only: Only = Field(
        default=Only(), description="The part of the grid that runs; empty: all of it."
    )
    seeds: Annotated[list[Seed], Distinct] = Field(
        min_length=1, description="One repetition each: split, initial weights and batch order."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="auto takes a GPU where one answers. cpu frees jobs from the gpu resource."
    )
    score_rounds: int = Field(
        ge=1, description="Evaluations at the end of a run whose mean is the score."
    )
    confidence: float = Field(gt=0, lt=1, description="Of the t-intervals over seeds.")
    on_bad_upload: Literal["stop", "skip"] = Field(
        description="An upload that is misshapen, not finite or too large ends the run, or is left out "
        "and recorded; of one shot it ends the job (docs/robustness.md)."
    )
    upload_rms: float = Field(
        gt=0, description="Largest root mean square of an uploaded tensor that the rounds take."
    )
    note: str = Field(description="What the scale is sized for; printed with what it cuts.")
    datasets: dict[str, Dataset] = Field(description="By name of the source in data/sources.yaml.")
    methods: dict[str, dict[str, Any]] = Field(description="Settings of each method.")
    foundation: Foundation = Field(description="The miniature Stable Diffusion.")
    unclip: UnCLIP = Field(description="The miniature unCLIP beside it, for FedDISC.")
    variants: dict[PlainName, Variant] = Field(default={}, description="For `ablations`.")
    experiments: dict[PathName, _WithBlocks] = Field(
        min_length=1,
        description="The grid. `like: <experiment>` takes over what an experiment does not say; null, in "
        "a scale, leaves it out.",
    )
    forecast: Forecast = Field(description="For the forecast of a dry run only.")

    def sizes_of(self, experiment: Experiment) -> tuple[int, int, int]:
        """Clients of an experiment, and training and test images of one, as ``size_hint``."""
        limit = self.datasets[experiment.dataset].limit_per_class
        return experiment.partition.size_hint(experiment.dataset, limit)

    def score_rounds_of(self, experiment: Experiment) -> int:
        return experiment.score_rounds or self.score_rounds

    def method_of(self, name: str) -> str:
        """The method behind ``name``, a method or a variant."""
        return self.variants[name].method if name in self.variants else name

    def local_of(self, experiment: Experiment, name: str) -> Local:
        """How clients train in a row of an experiment, with what a variant changes."""
        variant = self.variants.get(name)
        own = {"statistics": variant.statistics, "privacy": variant.privacy} if variant else {}
        changed = {key: value for key, value in own.items() if value}
        return experiment.local.model_copy(update=changed)

    def aggregation_of(self, experiment: Experiment, name: str) -> Aggregation | None:
        """How the server averages uploads in a row of an experiment."""
        variant = self.variants.get(name)
        return (variant and variant.aggregation) or experiment.aggregation

    def played(self, experiment: str, name: str) -> tuple[str, dict[str, Any]]:
        """The method behind ``name``, a method or a variant, and its settings in an experiment."""
        variant, method = self.variants.get(name), self.method_of(name)
        values = merge(self.methods[method], self.experiments[experiment].overrides.get(method, {}))
        return method, merge(values, variant.settings) if variant else values

    def images(self, name: str) -> Literal["adapters", "prompts"] | None:
        """Which synthetic images ``name``, a method or a variant, makes use of, if any."""
        variant = self.variants.get(name)
        own = method_class(self.method_of(name)).images
        own = variant.images if own and variant and variant.images else own
        return "adapters" if variant and variant.start == "warm" and not own else own

    def warm(self, name: str) -> bool:
        """Does ``name``, a method or a variant, start from a model trained on synthetic images?"""
        start = self.variants[name].start if name in self.variants else None
        return self.images(name) is not None if start is None else start == "warm"


def load(
    path: str | Path = "params.yaml", overrides: dict[str, Any] | None = None
) -> tuple[str, dict[str, Settings]]:
    """The scale that is asked for, and the settings of every scale by name, whole.

    ``overrides`` (Snakemake's --config) come after the file and before the scales' overlays; what they
    select is in ``Settings.only`` (``selection.select`` applies it).

    Raises:
        UserError: names the file, the scale and each faulty key, with the way out.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path} must be a mapping of settings")
    overlays = raw.pop("scales", None) or {}
    if not isinstance(overlays, dict) or not all(
        isinstance(overlay or {}, dict) for overlay in overlays.values()
    ):
        raise UserError(f"{path}: scales must map each scale to a mapping of settings")
    given = selecting(typed(overrides or {}))
    chosen = (raw | given).get("scale")
    if chosen not in SCALES:
        raise UserError(f"{path}: scale: {unknown(str(chosen), SCALES)}")
    for name in overlays:
        if name not in SCALES:
            raise UserError(f"{path}: scales: {unknown(str(name), SCALES)}")
    # The scale that runs is checked first, so that its errors are the ones shown.
    order = sorted(SCALES, key=lambda name: name != chosen)
    return chosen, {
        name: _checked([raw, given, overlays.get(name) or {}, {"scale": name}], path)
        for name in order
    }


def _checked(layers: list[dict[str, Any]], path: str | Path) -> Settings:
    raw, overridden = combine(layers, str(path))
    found = [f"{key}: must be finite" for key in not_finite(raw)]
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        found += [explain(item) for item in error.errors()]
    else:
        found += faults(settings, overridden)
    if found:
        lines = "\n".join(f"  {fault}" for fault in dict.fromkeys(found))
        count = counted(len(dict.fromkeys(found)), "fault")
        head = f"{path} (scale {raw['scale']}) has {count}"
        raise UserError(f"{head}:\n{lines}\nSee docs/settings.md.")
    return settings
