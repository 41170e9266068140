"""A row of an experiment beside its methods: one of them under other settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fedgenbench.core.settings import Statistics, Strict
from fedgenbench.federated.aggregation import Aggregation
from fedgenbench.federated.privacy import Privacy


class Variant(Strict):
    """A method under other settings, as a row of its own."""

    method: str = Field(description="A key of `methods`.")
    title: str = Field(description="Name in tables.")
    settings: dict[str, Any] = Field(description="What differs, over `methods` and `overrides`.")
    start: Literal["warm", "scratch"] | None = Field(
        default=None,
        description="warm: from the model trained on synthetic images; null: as the method does.",
    )
    statistics: Statistics | None = Field(
        default=None, description="Batch norm's in its rounds; null: as `local` says."
    )
    aggregation: Aggregation | None = Field(
        default=None, discriminator="rule", description="null: as the experiment says."
    )
    privacy: Privacy | None = Field(default=None, description="null: as the experiment says.")
    subset: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Share of the synthetic images that its rounds use; null: as `warmfed` says.",
    )
    images: Literal["prompts"] | None = Field(
        default=None,
        description="prompts: those of prompts alone are its synthetic images; null: as the method does.",
    )
