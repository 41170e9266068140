"""axe-core, the rules of accessibility that browsers' own tools run, from its npm package."""

import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from fedgenbench.core.files import sha256_file
from fedgenbench.data.download import SourceFailedError, npm

PACKAGE = "axe-core@4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
# WCAG 2.2 at AA, and what axe calls good practice: landmarks, headings, headers of tables.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def script(folder: Path) -> str:
    """axe's source, kept in ``folder``; the test is skipped where the package cannot be had."""
    archive = folder / f"{PACKAGE}.tgz"
    if not archive.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                npm([PACKAGE], Path(scratch))[PACKAGE].replace(archive)
            except SourceFailedError as error:
                pytest.skip(f"{PACKAGE} cannot be had: {error}")
    assert sha256_file(archive) == SHA256, f"{archive} is not the package that was pinned"
    with tarfile.open(archive) as members:
        source = members.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


def violations(browser: Browser, axe: str) -> list[str]:
    """What breaks a rule on the open page: rule, element and what is wrong with it."""
    browser.value(f"{axe}\n;0")
    rules: dict[str, Any] = browser.value(
        f"axe.run(document, {{runOnly: {_RULES}, resultTypes: ['violations']}})"
    )
    return [
        f"{rule['id']}: {node['html'][:200]}: {' '.join(node['failureSummary'].split())}"
        for rule in rules["violations"]
        for node in rule["nodes"]
    ]
