"""sources.yaml and weights.yaml: which data sets and weights there are, and where their files lie."""

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import Strict

SOURCES = Path(__file__).with_name("sources.yaml")
WEIGHTS = Path(__file__).with_name("weights.yaml")
HOW_TO_ADD = f"src/fedgenbench/data/{SOURCES.name} (docs/data.md, Your own data)"

_Name = Annotated[str, Field(min_length=1, pattern=r"^[^/\\{}]+$")]
_Names = Annotated[list[_Name], Field(min_length=1)]


class _Facts(Strict):
    train: int = Field(ge=1)
    test: int = Field(ge=1)
    domains: _Names | None = None
    even: int | None = None
    whole: dict[str, int] | None = None


class _Placed(Strict):
    """An entry of a set of folders; the head of sources.yaml says what each key means."""

    title: str
    facts: _Facts
    reader: str
    edge: int = Field(ge=4, multiple_of=4)
    classes: _Names | None
    works: list[dict[str, str]] = Field(default=[])
    optional: bool = True
    folder: str
    top: str = ""
    entries: list[str] = Field(default=[])
    layout: str = ""
    first: int | None = None
    fine: list[list[str]] | None = None
    contexts: str | None = None
    cap: dict[str, int] | None = None
    files: dict[str, str] = Field(default={})
    sources: list[Any] = Field(default=[])


@functools.cache
def source_table() -> dict[str, Any]:
    """The content of sources.yaml, one entry per data set. ``UserError`` names what is wrong."""
    import yaml

    try:
        table = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{SOURCES} is no YAML: {error}") from None
    return {name: _complete(name, spec) for name, spec in table.items()}


def _complete(name: str, spec: Any) -> dict[str, Any]:
    """An entry with what it leaves to be derived: a placed set's paths, and counts per class."""
    if not isinstance(spec, dict):
        raise UserError(f"{SOURCES}: {name} has no keys; {HOW_TO_ADD} shows an entry")
    if name in weights_table():
        raise UserError(f"{SOURCES}: {name} is a network of {WEIGHTS.name}: choose another name")
    if "reader" in spec:
        spec = _placed(name, spec)
    facts = spec["facts"]
    if classes := facts.get("even"):
        parts = {part: _evenly(facts[part], classes) for part in ("train", "test")}
        spec = spec | {"facts": facts | parts | {"even": True}}
    return spec


def _placed(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    try:
        spec = _Placed.model_validate({"folder": name, **spec}).model_dump(exclude_none=True)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, (name, *fault['loc'])))}: {fault['msg']}"
            + (" (quote names that look like numbers)" if fault["type"] == "string_type" else "")
            for fault in error.errors()
        ]
        raise UserError("\n".join([f"{SOURCES}: mend", *faults, f"as in {HOW_TO_ADD}"])) from None
    spec.setdefault("classes", None)
    if not (Path(__file__).parent / "readers" / f"{spec['reader']}.py").is_file():
        raise UserError(
            f"{SOURCES}: {name}.reader: there is no module {spec['reader']} in "
            "src/fedgenbench/data/readers; for folders of images write folders"
        )
    facts, classes = spec["facts"], spec["classes"]
    outer = facts.get("domains") or classes or []
    facts.setdefault("even", len(classes or ["one"]))
    spec["entries"] = spec["entries"] or outer
    if not spec["layout"]:
        inner = f"{{{','.join(classes)}}}/" if classes and outer is not classes else ""
        top = "/".join(part for part in ("data/raw", spec["folder"], spec["top"]) if part)
        spec["layout"] = f"  {top}/\n    {{{','.join(outer)}}}/{inner}*.png, *.jpg and so on"
    return spec


def _evenly(total: int, classes: int) -> list[int]:
    share, rest = divmod(total, classes)
    return [share + 1] * rest + [share] * (classes - rest)


@functools.cache
def weights_table() -> dict[str, Any]:
    """The content of weights.yaml, one entry per network: fetched as a data set is, and none."""
    import yaml

    return yaml.safe_load(WEIGHTS.read_text(encoding="utf-8"))


def source_of(dataset: str) -> dict[str, Any]:
    """The entry of one data set, or of a network's weights. ``UserError`` if there is none."""
    if dataset in weights_table():
        return weights_table()[dataset]
    table = source_table()
    if dataset not in table:
        raise UserError(
            f"no data set is called {dataset!r}: choose one of {', '.join(table)}, or add an entry "
            f"for yours to {HOW_TO_ADD}"
        )
    return table[dataset]


def missing(dataset: str, folder: Path = Path("data/raw")) -> str | None:
    """One sentence on an optional data set that is not in ``folder``: what to do about it.

    None if the data set is not optional, or if its files or an archive of them lie there. It looks
    at names alone, so it is cheap; whether the files are right is found when they are used. For a
    set of folders the layout follows the sentence.
    """
    spec, target = source_of(dataset), folder / dataset
    if not spec.get("optional"):
        return None
    if "folder" in spec:
        root = placed_root(dataset, folder)
        absent = [name for name in spec["entries"] if find_entry(root, name) is None]
        if not absent:
            return None
        return (
            f"{spec['title']} is not in {folder / spec['folder']} (no {', '.join(absent)}): it is "
            "never downloaded; put it there by hand in this layout (docs/data.md; what it is called "
            f"there is said by `{dataset}` in src/fedgenbench/data/{SOURCES.name}):\n"
            f"{spec['layout']}"
        )
    placed = [source["archives"] for source in spec["sources"] if source["kind"] == "placed"]
    ways: list[Collection[str]] = [spec["files"], *placed]
    if any(all((target / name).is_file() for name in names) for names in ways):
        return None
    fewest = min(ways, key=len)
    return (
        f"{spec['title']} is not in {target}: `snakemake {target / 'SOURCE.json'}` fetches it, or "
        f"put {', '.join(fewest)} there by hand (docs/data.md)"
    )


def placed_root(dataset: str, folder: Path) -> Path:
    """Where a placed set's domains lie: below ``folder``, with or without the archive's top."""
    spec = source_of(dataset)
    base = folder / spec["folder"]
    return base / spec["top"] if (base / spec["top"]).is_dir() else base


def find_entry(root: Path, name: str) -> Path | None:
    """A folder or list of a placed set: in ``root``, in ``root/splits``, where some keep lists, or in
    ``root/train`` of a set that comes split."""
    places = (root / name, root / "splits" / name, root / "train" / name)
    return next((path for path in places if path.exists()), None)


def entry_of(root: Path, name: str) -> Path:
    """An entry that must be there, as ``missing`` tells; ``UserError`` if it is not."""
    path = find_entry(root, name)
    if path is None:
        raise UserError(f"there is no {root / name}: put it there")
    return path


def image_shape(dataset: str) -> tuple[int, int]:
    """Channels and edge in pixels of a prepared image."""
    spec = source_of(dataset)
    if "folder" in spec:
        return 3, spec["edge"]
    return (1, 28) if any("idx" in name for name in spec["files"]) else (3, 32)
