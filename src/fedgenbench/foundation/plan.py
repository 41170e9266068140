"""Where the parts of the foundation model are made, and what decides them. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedgenbench.foundation.folder import part_files, require_recorded
from fedgenbench.foundation.settings import Foundation, UNetJob, VaeJob
from fedgenbench.runtime.digest import digest


@dataclass(frozen=True)
class Plan:
    """The digests of the three jobs; each is that of its settings, its code and what it builds on.

    ``codes`` has the digest of the code of the jobs ``vae``, ``unet`` and ``evaluate`` first, as
    ``grid.job_code`` gives it; ``data`` is the digest of the prepared EmojiDomains.
    """

    settings: Foundation
    data: str
    codes: dict[str, list[str]]

    def job(self, kind: type[VaeJob]) -> dict[str, Any]:
        """The settings that decide a job of this kind, and no others."""
        return self.settings.model_dump(include=set(kind.model_fields))

    @property
    def vae(self) -> str:
        return digest([self.job(VaeJob), self.data, self.codes["vae"][0]])

    @property
    def unet(self) -> str:
        return digest([self.job(UNetJob), self.vae, self.codes["unet"][0]])

    @property
    def evaluate(self) -> str:
        return digest([self.job(Foundation), self.unet, self.codes["evaluate"][0]])


def fingerprint(source: str) -> str:
    """What identifies the model that ``pipeline.load(source)`` gives, for the digest of a run.

    Of a folder it is the digest of the files that the model consists of; a hub id, or a folder that is
    not here, stands for itself.

    Raises:
        UserError: the folder is no whole model, or a file is not as its provenance.json records.
    """
    if not Path(source).is_dir():
        return source
    require_recorded(source)
    return digest(part_files(source))
