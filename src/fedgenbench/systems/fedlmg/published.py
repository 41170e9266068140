"""FedLMG's published numbers, of which each belongs to a client's test set (sheet §1)."""

from itertools import product
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml
from fedgenbench.core.settings import Strict
from fedgenbench.report.published import Names, PublishedFigure

COLUMNS = ("setting", "dataset", "method", "column", "value", "status", "source")

Method = Literal["ceiling", "prompts", "fedavg", "feddf", "fedlmg_ft", "fedlmg_sd", "fedlmg_md"]
FILE = Path(__file__).with_name("published.yaml")
Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]


class Table(Strict):
    """A printed table: by method one top-1 accuracy, in per cent, for each of ``columns``."""

    setting: str
    dataset: str
    columns: Names
    rows: dict[Method, list[Percent]]
    status: Literal["published", "second-hand"]
    source: str

    @model_validator(mode="after")
    def _filled(self) -> Self:
        for method, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"{method} has {len(values)} of {len(self.columns)} columns")
        return self


class Unknown(Strict):
    """What is not at hand, for every combination of the lists."""

    settings: Names
    datasets: Names
    methods: Annotated[list[Method], Field(min_length=1)]
    columns: Names
    value: None
    status: Literal["not available"]
    source: str


class FedLMGPublished(Strict):
    """What published.yaml holds; ``methods`` are the names that version 1 prints."""

    methods: dict[Method, str]
    tables: list[Table]
    cells: list[Unknown]
    figures: list[PublishedFigure]

    def frame(self) -> pd.DataFrame:
        """A row per number, columns ``COLUMNS``; ``value`` in per cent, NaN where not available."""
        known = [
            (t.setting, t.dataset, method, column, value, t.status, t.source)
            for t in self.tables
            for method, values in t.rows.items()
            for column, value in zip(t.columns, values, strict=True)
        ]
        unknown = [
            (*place, None, cell.status, cell.source)
            for cell in self.cells
            for place in product(cell.settings, cell.datasets, cell.methods, cell.columns)
        ]
        return pd.DataFrame(known + unknown, columns=COLUMNS).astype({"value": float})


def fedlmg_published(path: str | Path = FILE) -> FedLMGPublished:
    """The content of FedLMG's published.yaml.

    Raises:
        UserError: names the file and each faulty key.
    """
    try:
        return FedLMGPublished.model_validate(read_yaml(path))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UserError("\n  ".join([f"{path}: correct the entries", *faults])) from None
