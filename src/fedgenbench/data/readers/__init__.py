"""Layouts of sets of folders, one module each, named by ``reader`` in sources.yaml.

A module's ``listing(dataset, root)`` says which files belong to which part, domain and class. A new
layout changes no other set's digest.
"""

from fedgenbench.data.sources import source_of


def reader_modules(dataset: str) -> list[str]:
    """The module that knows a data set's layout; none where the set is no set of folders."""
    spec = source_of(dataset)
    return [f"{__name__}.{spec['reader']}"] if "folder" in spec else []
