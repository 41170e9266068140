"""Office-Caltech10: lists like DomainNet's, or folders alone."""

import logging
from pathlib import Path

from fedgenbench.data.fetch import find_entry, source_of
from fedgenbench.data.readers import listed
from fedgenbench.data.readers.listing import PARTS, Listing, Row, Rows, is_image
from fedgenbench.errors import UserError
from fedgenbench.rng import stream

_log = logging.getLogger(__name__)


def listing(dataset: str, root: Path) -> Listing:
    """Lists where all of them are there, else every image of the folders, split 80/20."""
    spec = source_of(dataset)
    domains, classes = spec["facts"]["domains"], spec["classes"]
    names = [f"{domain}_{part}.txt" for domain in domains for part in PARTS]
    absent = [name for name in names if find_entry(root, name) is None]
    if not absent:
        return listed.listing(dataset, root)
    if len(absent) < len(names):
        raise UserError(
            f"{dataset}: of the lists in {root}, {', '.join(absent)} are missing: add them, or take "
            "the others away for the default split"
        )
    rows: Rows = {part: [] for part in PARTS}
    for d, domain in enumerate(domains):
        for k, name in enumerate(classes):
            folder = root / domain / name
            if not folder.is_dir():
                raise UserError(
                    f"{dataset}: there is no folder {folder}. The layout is\n{spec['layout']}"
                )
            files = sorted(path.name for path in folder.iterdir() if is_image(path))
            order = stream(0, "prepare", dataset, "split", domain, name).permutation(len(files))
            tested = (len(files) + 2) // 5
            for rank, position in enumerate(order):
                part = "test" if rank < tested else "train"
                rows[part].append(Row(d, k, f"{domain}/{name}/{files[position]}"))
    notes = [
        "Split: a fifth of each domain and class, to the nearest image, from a named random stream "
        "is tested; all images are used."
    ]
    if pickles := sorted(path.name for path in root.glob("*.pkl")):
        notes.append(
            f"{', '.join(pickles)} were not opened: a pickle runs code. docs/data.md shows how to "
            "turn them into lists outside."
        )
        _log.warning("%s: %s", dataset, notes[-1])
    return Listing(rows, classes, notes, {})
