"""Office-Caltech10: lists like DomainNet's, or folders alone."""

import logging
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.data.readers import folders, listed
from fedgenbench.data.readers.listing import PARTS, Listing
from fedgenbench.data.sources import find_entry, source_of

_log = logging.getLogger(__name__)


def listing(dataset: str, root: Path) -> Listing:
    """Lists where all of them are there, else every image of the folders."""
    domains = source_of(dataset)["facts"]["domains"]
    names = [f"{domain}_{part}.txt" for domain in domains for part in PARTS]
    absent = [name for name in names if find_entry(root, name) is None]
    if not absent:
        return listed.listing(dataset, root)
    if len(absent) < len(names):
        raise UserError(
            f"{dataset}: of the lists in {root}, {', '.join(absent)} are missing: add them, or take "
            "the others away for the default split"
        )
    found = folders.listing(dataset, root)
    if pickles := sorted(path.name for path in root.glob("*.pkl")):
        found.notes.append(
            f"{', '.join(pickles)} were not opened: a pickle runs code. docs/data.md shows how to "
            "turn them into lists outside."
        )
        _log.warning("%s: %s", dataset, found.notes[-1])
    return found
