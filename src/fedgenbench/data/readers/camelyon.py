"""Camelyon17-WILDS: a table of patches."""

import csv
import hashlib
import io
from collections import Counter, defaultdict
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.readers.listing import PARTS, Listing, Row, Rows, require_whole
from fedgenbench.data.sources import source_of

_COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center")


def listing(dataset: str, root: Path) -> Listing:
    """Hospitals are domains; as many patches of both classes, from a named stream.

    WILDS's own split is by hospital, which gives a hospital no test part; its column is not read.
    """
    spec, path = source_of(dataset), root / "metadata.csv"
    content = path.read_bytes()
    table = csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace")))
    if absent := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
        raise UserError(f"{path} has no column {', '.join(absent)}: put WILDS's file there")
    groups: dict[tuple[int, int], list[str]] = defaultdict(list)
    first: dict[str, int] = {}
    for number, line in enumerate(table, 2):
        try:
            patient, node, x, y, tumor, center = (int(line[name]) for name in _COLUMNS)
            if tumor not in (0, 1) or not 0 <= center < len(spec["facts"]["domains"]):
                raise ValueError("tumor is 0 or 1 and center 0 to 4")
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}, line {number}: {error}: put WILDS's file there") from None
        # Patients have three digits, nodes one.
        place = f"patient_{patient:03d}_node_{node}"
        patch = f"patches/{place}/patch_{place}_x_{x}_y_{y}.png"
        if (earlier := first.setdefault(patch, number)) != number:
            raise UserError(
                f"{path}, line {number}: {patch} stands in line {earlier} too: put WILDS's file there"
            )
        groups[center, tumor].append(patch)
    held: Counter[str] = Counter()
    for (center, _), names in groups.items():
        held[spec["facts"]["domains"][center]] += len(names)
    require_whole(dataset, root, held)
    rows: Rows = {part: [] for part in PARTS}
    for (center, tumor), names in groups.items():
        order = stream(0, "prepare", dataset, "split", center, tumor).permutation(len(names))
        tested = min(spec["cap"]["test"], (len(names) + 2) // 5)
        trained = min(spec["cap"]["train"], len(names) - tested)
        ordered = sorted(names)
        for rank, position in enumerate(order[: tested + trained]):
            part = "test" if rank < tested else "train"
            rows[part].append(Row(center, tumor, ordered[position]))
    notes = [
        f"Per hospital and class at most {spec['cap']['train']} patches for training and "
        f"{spec['cap']['test']} others for testing, from a named random stream.",
        "The split is by patch: both parts can hold patches of one slide.",
    ]
    lists = {path.name: hashlib.sha256(content).hexdigest()}
    return Listing(rows, spec["classes"], notes, lists)
