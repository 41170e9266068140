"""FedLMG's published numbers: the ICML version's tables, and version 1's (sheet §1)."""

from itertools import product
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import pandas as pd
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml
from fedgenbench.core.settings import Strict
from fedgenbench.report.published import Names, PublishedFigure

COLUMNS = ("table", "setting", "dataset", "row", "column", "value", "status", "source")

Method = Literal[
    "ceiling",
    "prompts",
    "fedavg",
    "fedprox",
    "feddyn",
    "feddf",
    "feddisc",
    "fgl",
    "fedlmg_ft",
    "fedlmg_sd",
    "fedlmg_md",
]
METHODS: tuple[str, ...] = get_args(Method)
FILE = Path(__file__).with_name("published.yaml")
Source = Annotated[str, Field(min_length=1)]
# Tables whose rows are methods; those of the others are what they vary.
OF_METHODS = ("feature skew", "label skew", "different architectures")


class Table(Strict):
    """A printed table, or its part for one data set: by row one number for each of ``columns``.

    ``averaged`` says that the last column is printed as the plain mean of the others.
    """

    number: str
    setting: str
    dataset: str
    unit: Literal["%", "million parameters", "GFLOPs", "FID"]
    averaged: bool
    columns: Names
    rows: dict[str, list[Annotated[FiniteFloat, Field(ge=0)]]]
    status: Literal["published", "second-hand"]
    source: Source

    @model_validator(mode="after")
    def _filled(self) -> Self:
        for row, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"{row} has {len(values)} of {len(self.columns)} columns")
            if self.unit == "%" and max(values) > 100:
                raise ValueError(f"{row} has {max(values):g} %")
            if self.setting in OF_METHODS and row not in METHODS:
                raise ValueError(f"{row} is no row: choose of {', '.join(METHODS)}")
        return self

    def average(self, row: str) -> float | None:
        """The last number of a row; None where the table has no such row."""
        return self.rows[row][-1] if row in self.rows else None


class Unknown(Strict):
    """What is not at hand, for every combination of the lists."""

    settings: Names
    datasets: Names
    methods: Annotated[list[Method], Field(min_length=1)]
    columns: Names
    value: None
    status: Literal["not available"]
    source: Source


class FedLMGPublished(Strict):
    """What published.yaml holds; ``methods`` are the names that the ICML version prints."""

    methods: dict[Method, str]
    tables: list[Table]
    cells: list[Unknown]
    figures: list[PublishedFigure]

    def of(self, setting: str) -> list[Table]:
        """The ICML version's tables of a setting, a data set each."""
        return [table for table in self.tables if table.setting == setting and table.number != "v1"]

    def beside(self, setting: str, dataset: str) -> Table | None:
        """The table of a setting and a data set; of the first 90 classes of DomainNet version 1's."""
        first = dataset == "DomainNet, 90 classes"
        name = dataset.split(",")[0]  # a title may say more than the paper's name
        for table in self.tables:
            place = (table.setting, table.dataset, table.number == "v1")
            if place == (setting, name, first):
                return table
        return None

    def frame(self) -> pd.DataFrame:
        """A row per number, columns ``COLUMNS``; ``value`` is NaN where not available."""
        known = [
            (t.number, t.setting, t.dataset, row, column, value, t.status, t.source)
            for t in self.tables
            for row, values in t.rows.items()
            for column, value in zip(t.columns, values, strict=True)
        ]
        unknown = [
            ("", *place, None, cell.status, cell.source)
            for cell in self.cells
            for place in product(cell.settings, cell.datasets, cell.methods, cell.columns)
        ]
        return pd.DataFrame(known + unknown, columns=COLUMNS).astype({"value": float})


def fedlmg_published(path: str | Path = FILE) -> FedLMGPublished:
    """The content of FedLMG's published.yaml.

    Raises:
        UserError: names the file and each faulty key: a number without a source is refused.
    """
    try:
        return FedLMGPublished.model_validate(read_yaml(path))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UserError("\n  ".join([f"{path}: correct the entries", *faults])) from None
