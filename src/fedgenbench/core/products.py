"""Manifests of products: what stands in a folder of tables, figures or the report, by checksum."""

import contextlib
import re
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file, write_json
from fedgenbench.core.wording import first_of

# Files whose content is of one machine and one time.
MEASURED = ("measured_", "costs.")


def write_manifest(manifest: Path, files: list[Path], runs: dict[str, str]) -> None:
    """Lists ``files`` with checksums, none for measured ones; ``beside`` those of the folder above."""
    content: dict[str, Any] = {"runs": runs, "files": {}, "beside": {}}
    for path in files:
        part = "files" if path.parent == manifest.parent else "beside"
        measured = path.name.startswith(MEASURED)
        content[part][path.name] = None if measured else sha256_file(path)
    write_json(manifest, content)


def forget_altered(results: Path) -> list[str]:
    """Renames the manifests below ``results`` that are no longer true; says which, in sentences.

    A product without its manifest is made again, and then the renamed one goes with what it lists.
    """
    said = []
    for manifest in (each for scale in sorted(results.glob("*")) for each in manifests(scale)):
        if names := altered(manifest):
            with contextlib.suppress(OSError):
                manifest.replace(manifest.with_name(f"{manifest.parent.name}-altered.json"))
            said.append(
                f"{manifest.parent}: {first_of(names, 3)} altered or deleted since it was made, so it "
                "is made again."
            )
    return said


def manifests(results: Path) -> list[Path]:
    """The manifests of products in the folder of a scale."""
    return [
        path
        for path in sorted(results.glob("*/*.json"))
        if re.fullmatch(rf"{path.parent.name}-[0-9a-f]{{10}}\.json", path.name)
    ]


def altered(manifest: Path) -> list[str]:
    """Names of what a manifest lists and that is no longer as listed; its own where it is damaged."""
    try:
        content = read_json(manifest)
        listed = {manifest.parent / name: check for name, check in content["files"].items()}
        listed |= {
            manifest.parents[1] / name: check for name, check in content.get("beside", {}).items()
        }
    except (UserError, KeyError, TypeError, AttributeError):
        listed = {}
    if not listed:
        return [manifest.name]
    return [
        path.name
        for path, checksum in listed.items()
        if not path.is_file() or (checksum and sha256_file(path) != checksum)
    ]
