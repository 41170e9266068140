"""Where the parts of the foundation model are made, and what decides them. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedgenbench.core.digest import digest
from fedgenbench.systems.foundation.settings import Foundation, PoolJob, UNetJob, VaeJob


@dataclass(frozen=True)
class Plan:
    """The digests of the four jobs; each is that of its settings, its code and what it builds on.

    ``codes`` has the digest of the code of the jobs ``pool``, ``vae``, ``unet`` and ``evaluate`` first,
    as ``grid.job_code`` gives it; ``drawings`` and ``private`` are the folders of the prepared public
    drawings and of EmojiDomains.
    """

    settings: Foundation
    drawings: str
    private: str
    codes: dict[str, list[str]]

    def job(self, kind: type[PoolJob]) -> dict[str, Any]:
        """The settings that decide a job of this kind, and no others."""
        return self.settings.model_dump(include=set(kind.model_fields))

    def checkpoint(self, part: str) -> str:
        """Where the training of the autoencoder ("vae") or the U-Net ("unet") can go on."""
        return f"results/checkpoints/foundation/{self.settings.subjects}-{part}"

    @property
    def pool(self) -> str:
        return digest([self.job(PoolJob), self.drawings, self.private, self.codes["pool"][0]])

    @property
    def vae(self) -> str:
        return digest([self.job(VaeJob), self.pool, self.codes["vae"][0]])

    @property
    def unet(self) -> str:
        return digest([self.job(UNetJob), self.vae, self.codes["unet"][0]])

    @property
    def evaluate(self) -> str:
        return digest([self.job(Foundation), self.unet, self.codes["evaluate"][0]])


def training_identity(job: VaeJob, pool_sha256: str) -> str:
    """What a training goes on from: its settings but their length, and the images that it sees.

    Not the code: hours of training survive an edit, and the record says which revisions had a hand.
    """
    settings = job.model_dump()
    for part in ("vae", "unet"):
        if part in settings:
            settings[part]["training"] = {
                key: value
                for key, value in settings[part]["training"].items()
                if key not in ("steps", "save_every")
            }
    return f"{job.subjects} {type(job).__name__} {digest([settings, pool_sha256])}"
