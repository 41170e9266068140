"""Draws the layers of the package, from its real imports, into docs/architecture.md.

python tools/architecture.py [--check]
"""

import re
import sys
from pathlib import Path

import grimp
import networkx

PAGE = Path(__file__).parents[1] / "docs/architecture.md"
ROOT = "fedgenbench"
BLOCK = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def picture() -> str:
    """A Mermaid graph: a box per package or system, an arrow from who imports to what is imported."""
    graph = grimp.build_graph(ROOT, exclude_type_checking_imports=True)
    arrows = networkx.DiGraph()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = _box(importer), _box(imported)
            if pair[0] != pair[1] and "" not in pair:
                arrows.add_edge(*pair)
    # Without the arrows that a longer way says already.
    needed = networkx.transitive_reduction(arrows)
    lines = ["```mermaid", "graph TD"]
    lines += [f"    {box.replace('.', '_')}[{box}]" for box in sorted(arrows)]
    lines += [
        f"    {a.replace('.', '_')} --> {b.replace('.', '_')}" for a, b in sorted(needed.edges)
    ]
    return "\n".join([*lines, "```"])


def _box(module: str) -> str:
    """A package; of ``systems`` each system, and what they share as one."""
    parts = module.split(".")[1:]
    if parts[:1] == ["systems"]:
        system = len(parts) > 1 and (PAGE.parents[1] / f"src/{ROOT}/systems/{parts[1]}").is_dir()
        return f"systems.{parts[1]}" if system else "systems"
    return parts[0] if parts and parts[0] != "__main__" else ""


def main(arguments: list[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda _: picture(), text, count=1)
    if arguments == ["--check"]:
        if new != text:
            sys.exit(f"{PAGE.name} shows other imports than there are: run `make docs`")
    else:
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
