"""Proves that an edit moved no number: compares the results of two commits, job by job, to the bit.

    python tools/compare_results.py OLD NEW [--moved FILE] [--expect FILE]

OLD and NEW are folders with ``results`` and ``data``. Jobs are paired by their path without its
digest, files by name. A line "PATTERN -> PATH" of the file of --moved is a regular expression and what
takes its place in OLD's paths, where a layout has changed; all lines are applied, in order. A line
"PATTERN  # reason" of the file of --expect names a difference that is meant, as it is printed
("job/file key", with * and ?); each must occur. Exit code 1: there is another, or one of them does
not occur.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES
from fedgenbench.core.wording import counted
from result_files import DIGEST, IN_PATH, content, left_out

PRODUCTS = ("collected-#", "tables", "figures", "report", "metrics.json", "curves.csv")
SHOWN = 20


@dataclass
class Tree:
    """The jobs below a folder: job -> digest -> name of a file -> where it lies."""

    root: Path
    moved: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, dict[str, Path]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in sorted(self.root.glob("results/**/*")) + sorted(self.root.glob("data/*/**/*")):
            whole = path.relative_to(self.root).as_posix()
            for pattern, place in self.moved.items():
                whole = re.sub(pattern, place, whole)
            job = _job_of(whole)
            if job is None or not path.is_file() or re.search(r"/\.|-altered\.json$", whole):
                continue
            digest = IN_PATH.search(whole)[1] if "#" in job else ""
            files = self.jobs.setdefault(job, {}).setdefault(digest, {})
            name = IN_PATH.sub("-#", whole)[len(job) :].lstrip("/") or Path(job).name
            if name in files:
                raise UserError(f"{files[name]} and {path} are two of one name: delete the older")
            files[name] = path
        if not self.jobs:
            raise UserError(f"{self.root} has no results: name a folder with results and data")

    @cached_property
    def made_by(self) -> set[str]:
        """Digests, revisions and machines that texts of this tree may name."""
        found = {digest for digests in self.jobs.values() for digest in digests}
        collected = {j: d for j, d in self.jobs.items() if Path(j).name == "collected-#"}
        for files in (files for digests in collected.values() for files in digests.values()):
            if context := files.get("context.json"):
                found |= set(DIGEST.findall(context.read_text(encoding="utf-8")))
            if jobs := files.get("jobs.parquet", files.get("runs.parquet")):
                frame = pd.read_parquet(jobs, columns=["git_revision", "hardware"])
                found |= set(frame.to_numpy().ravel())
        return {word for word in found if isinstance(word, str) and word}


@dataclass(frozen=True)
class Difference:
    """``place`` is "job/file key", or a job that only one tree has; ``what`` is in words."""

    job: str
    place: str
    what: str


def compare(old: Tree, new: Tree) -> Iterator[Difference]:
    """All differences, in the order of jobs, files and keys."""
    for job in sorted(old.jobs.keys() | new.jobs.keys()):
        if job not in old.jobs or job not in new.jobs:
            yield Difference(job, job, f"only in {'OLD' if job in old.jobs else 'NEW'}")
            continue
        before, after = _the_pair(job, old, new)
        for name in sorted(before.keys() | after.keys()):
            place = job if Path(job).name == name else f"{job}/{name}"
            if name not in before or name not in after:
                yield Difference(job, place, f"only in {'OLD' if name in before else 'NEW'}")
            elif not left_out(f"{name}:") and not _same_bytes(before[name], after[name]):
                mine = content(name, before[name], old.made_by)
                yours = content(name, after[name], new.made_by)
                for key in sorted(mine.keys() | yours.keys()):
                    if said := _difference(mine.get(key), yours.get(key)):
                        yield Difference(job, f"{place} {key}", said)


def _job_of(path: str) -> str | None:
    """The path of the job that a file belongs to, "#" for its digest; None outside of the areas."""
    top, area, *rest = path.split("/")
    if (top, area) in {("data", "prepared"), ("data", "partitions")} or area == "runs":
        found = IN_PATH.search(path)
        return f"{path[: found.start()]}-#{path[found.end() :].split('/')[0]}" if found else path
    if area not in SCALES:
        return None
    product = IN_PATH.sub("-#", rest[0] if rest else "")
    return f"{top}/{area}/{product}" if product in PRODUCTS else None


def _the_pair(job: str, old: Tree, new: Tree) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of a job in both trees; of several in NEW the one that OLD does not have."""
    before, after = old.jobs[job], new.jobs[job]
    after = {d: files for d, files in after.items() if d not in before} or after
    for tree, found in ((old, before), (new, after)):
        if len(found) > 1:
            raise UserError(
                f"{tree.root} has {job} with several digests ({', '.join(found)}): delete the stale ones"
            )
    return *before.values(), *after.values()


def _same_bytes(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _difference(old: np.ndarray | None, new: np.ndarray | None) -> str | None:
    """The first difference and the greatest, in words; None if the bits are equal (NaN is NaN)."""
    if old is None or new is None:
        return "only in NEW" if old is None else "only in OLD"
    if old.dtype != new.dtype or old.shape[1:] != new.shape[1:] or old.ndim != new.ndim:
        return f"{old.dtype} {list(old.shape)} -> {new.dtype} {list(new.shape)}"
    lengths = f"length {len(old)} -> {len(new)}" if old.ndim and len(old) != len(new) else None
    if lengths:
        old, new = old[: len(new)], new[: len(old)]
    unequal = _unequal(old, new)
    if not unequal.any():
        return lengths
    first = tuple(np.argwhere(unequal)[0])
    told = _shown(old[first], new[first])
    if old.size > 1:
        told = f"[{', '.join(map(str, first))}] {told}, {unequal.sum()} of {old.size} differ"
    gaps = np.abs(_numbers(old[unequal]) - _numbers(new[unequal]))
    greatest = None if np.isnan(gaps).all() else f"greatest difference {np.nanmax(gaps):.3g}"
    return ", ".join(filter(None, (told, greatest, lengths)))


def _unequal(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    if old.dtype == object:  # 1, 1.0 and True are not equal, nor are 0.0 and -0.0
        pairs = zip(old.flat, new.flat, strict=True)
        return np.array([repr(a) != repr(b) for a, b in pairs], bool).reshape(old.shape)
    bits = [array.astype(array.dtype, "C").reshape(-1).view(np.uint8) for array in (old, new)]
    found = (bits[0] != bits[1]).reshape(old.size, old.itemsize).any(1).reshape(old.shape)
    return found & ~(np.isnan(old) & np.isnan(new)) if old.dtype.kind == "f" else found


def _numbers(values: np.ndarray) -> np.ndarray:
    """As float64, NaN for what is no number."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    plain = [float(v) if isinstance(v, int | float) else np.nan for v in values.flat]
    return np.array(plain, np.float64)


def _shown(old: Any, new: Any) -> str:
    """Both values; of long texts the part where they part."""
    if isinstance(old, str) and isinstance(new, str):
        pairs = enumerate(zip(old, new, strict=False))
        start = max(0, next((n for n, (a, b) in pairs if a != b), min(len(old), len(new))) - 20)
        old, new = old[start : start + 60], new[start : start + 60]
    told = [repr(v.item() if isinstance(v, np.generic) else v)[:80] for v in (old, new)]
    return " -> ".join(told)


def expected(path: Path) -> dict[str, str]:
    """Pattern of a difference -> why it is meant."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        pattern, _, reason = line.partition("  # ")
        if line.strip() and not reason.strip():
            raise UserError(f'{path}: "{line}" has no reason: write "PATTERN  # reason"')
        if line.strip():
            found[pattern.strip()] = reason.strip()
    return found


def moves(path: Path) -> dict[str, str]:
    """Pattern of a path -> what takes its place."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" -> ") for line in lines if line.strip())


def table(old: Tree, new: Tree, differences: list[Difference]) -> str:
    """A line per kind of job."""
    counts: dict[str, Counter[str]] = {}
    differ = {difference.job for difference in differences}
    for job in sorted(old.jobs.keys() | new.jobs.keys()):
        _, area, *rest = job.split("/")
        kind = f"{area}/{rest[0].removesuffix('-#')}" if area in SCALES else area
        count = counts.setdefault(kind, Counter())
        if job not in new.jobs or job not in old.jobs:
            count["only in OLD" if job in old.jobs else "only in NEW"] += 1
        else:
            count["compared"] += 1
            count["different" if job in differ else "equal"] += 1
    columns = ("compared", "equal", "different", "only in OLD", "only in NEW")
    frame = pd.DataFrame([[n[c] for c in columns] for n in counts.values()], list(counts), columns)
    return frame.to_string()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--moved", type=Path, help='lines "PATTERN -> PATH", for the paths of OLD')
    parser.add_argument("--expect", type=Path, help='lines "PATTERN  # reason", each must occur')
    chosen = parser.parse_args(arguments)
    meant = expected(chosen.expect) if chosen.expect else {}
    old = Tree(chosen.old, moves(chosen.moved) if chosen.moved else {})
    new = Tree(chosen.new)
    found = list(compare(old, new))
    print(table(old, new, found))
    met, others = set(), []
    for difference in found:
        patterns = {p for p in meant if fnmatchcase(difference.place, p)}
        met |= patterns
        if not patterns:
            others.append(difference)
    for pattern in meant:
        print(f"{'expected' if pattern in met else 'DID NOT OCCUR'}: {pattern} ({meant[pattern]})")
    for difference in others[:SHOWN]:
        print(f"{difference.place}: {difference.what}")
    if len(others) > SHOWN:
        print(f"... and {len(others) - SHOWN} more")
    if others or met != set(meant):
        print(
            f"{counted(len(others), 'difference')} not expected, {len(set(meant) - met)} missing."
        )
        return 1
    print(f"Nothing {'else ' if met else ''}moved.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"\n{error}")
