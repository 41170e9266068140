"""Who may hold what: the settings of the ways to deal out a data set. Loads no data."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from fedgenbench.core.settings import Strict
from fedgenbench.data.sources import source_of


class _Settings(Strict):
    valid_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of each client's training images, stratified by class, set apart to "
        "choose settings without a look at test data",
    )
    subjects: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of each class's training subjects (names of images where the data set has "
        "them, the same in every domain) that the seed draws; the test images stay",
    )

    def size_hint(self, dataset: str, limit_per_class: int | None) -> tuple[int, int, int]:
        """Clients, and training and test images of a client, the mean where clients differ.

        It rests on the facts in sources.yaml, so a forecast needs no data.
        """
        facts = source_of(dataset)["facts"]
        domains = len(facts.get("domains", [dataset]))
        limit = np.inf if limit_per_class is None else limit_per_class * domains
        train, test = (sum(min(n, limit) for n in facts[part]) for part in ("train", "test"))
        train = round(self.subjects * train)
        return self._sizes(train, test, classes=len(facts["train"]), domains=domains)

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        raise NotImplementedError


class FedPacSettings(_Settings):
    """FedPAC's partition: small equal clients in groups with dominant classes of their own."""

    scheme: Literal["fedpac"]
    clients: int = Field(ge=1, description="client i belongs to group i mod len(groups)")
    groups: list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]] = Field(
        min_length=1, description="dominant classes of each group"
    )
    uniform_share: float = Field(
        default=0.2, ge=0, le=1, description="share spread over all classes; FedPAC: 20 %"
    )
    train_per_client: int = Field(ge=1, description="equal for all, small on purpose")
    test_per_client: int = Field(ge=1, description="local test images, same proportions")
    train_start: int = Field(
        default=0, ge=0, description="first position used in each class; FedPAC on CIFAR-10: 2000"
    )
    test_start: int = Field(
        default=0, ge=0, description="first position used in each class; FedPAC on CIFAR-10: 500"
    )

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        return self.clients, self.train_per_client, self.test_per_client


class DomainSettings(_Settings):
    scheme: Literal["domain"]

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        return domains, train // domains, test // domains


class DomainShardsSettings(_Settings):
    scheme: Literal["domain_shards"]
    clients_per_domain: int = Field(
        ge=1, description="WarmFed's 60 clients on DomainNet are read as 10 per domain"
    )

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        clients = domains * self.clients_per_domain
        return clients, train // clients, test // domains


class DirichletSettings(_Settings):
    scheme: Literal["dirichlet"]
    clients: int = Field(ge=1, description="number of clients")
    alpha: float = Field(gt=0, allow_inf_nan=False, description="smaller is more skewed")
    min_samples: int = Field(
        default=10, ge=1, description="training images of the poorest client; FGL: 10"
    )

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        return self.clients, train // self.clients, test // self.clients


class ClassBlocksSettings(_Settings):
    scheme: Literal["class_blocks"]
    classes_per_client: int = Field(ge=1, description="FedLMG's label skew: 10 of 60 classes")
    stride: int | None = Field(
        default=None,
        ge=1,
        description="classes between the first ones of two neighbours; by default a block's size. "
        "With less, label spaces overlap, and the last blocks go on at the first class",
    )

    @model_validator(mode="after")
    def _every_class_is_held(self) -> Self:
        if self.stride and self.stride > self.classes_per_client:
            raise ValueError("stride: more than classes_per_client leaves classes to nobody")
        return self

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        clients = classes // (self.stride or self.classes_per_client)
        return clients, train // clients, test // clients


class DomainDirichletSettings(_Settings):
    scheme: Literal["domain_dirichlet"]
    clients_per_domain: int = Field(
        ge=1, description="FedLMG's 30, 60 and 180 clients are 5, 10 and 30 a domain"
    )
    alpha: float = Field(gt=0, allow_inf_nan=False, description="smaller is more skewed; FedLMG: 1")

    def _sizes(self, train: int, test: int, classes: int, domains: int) -> tuple[int, int, int]:
        clients = domains * self.clients_per_domain
        return clients, train // clients, test // domains


# The field `scheme` discriminates.
Scheme = (
    FedPacSettings
    | DomainSettings
    | DomainShardsSettings
    | DomainDirichletSettings
    | DirichletSettings
    | ClassBlocksSettings
)
