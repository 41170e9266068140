"""Data sets as Croissant records: what search engines and loaders of data sets read.

Croissant 1.1 (MLCommons, https://docs.mlcommons.org/croissant): a vocabulary of schema.org in JSON-LD.
"""

import mimetypes
from typing import Any

from fedgenbench.data.sources import source_of, source_table

VERSION = "1.1"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "key": "cr:key",
    "recordSet": "cr:recordSet",
    "source": "cr:source",
}


def described() -> list[str]:
    """The data sets whose files all are pinned by checksum; others somebody has to place."""
    return [
        name
        for name, spec in source_table().items()
        if (files := spec.get("files")) and all(files.values())
    ]


def croissant(name: str) -> dict[str, Any]:
    """The record of one data set of ``described``: files with checksums, works, images by part.

    Files are named as they lie in ``data/raw``, where the workflow fetches them to.
    """
    spec = source_of(name)
    works, facts = spec["works"], spec["facts"]
    counts = [
        {"parts/part": part, "parts/images": total}
        for part in ("train", "test")
        if (total := _total(facts.get(part)))
    ]
    rows = [
        {f"works/{key}": work[key] for key in ("work", "licence", "by", "url")} for work in works
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": f"http://mlcommons.org/croissant/{VERSION}",
        "name": name,
        "description": f"{spec['title']}, as FedGenBench fetches it: files pinned by checksum.",
        "license": list(dict.fromkeys(work["licence"] for work in works)),
        "url": works[0]["url"],
        "creator": [{"@type": "sc:Organization", "name": work["by"]} for work in works],
        "citeAs": "; ".join(f"{work['work']} ({work['by']})" for work in works),
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": f"data/raw/{name}/{path}",
                "encodingFormat": mimetypes.guess_type(path)[0] or "application/octet-stream",
                "sha256": checksum,
            }
            for path, checksum in spec["files"].items()
        ],
        "recordSet": [
            _record_set("works", dict.fromkeys(("work", "licence", "by", "url"), "sc:Text"), rows),
            *(
                [_record_set("parts", {"part": "sc:Text", "images": "sc:Integer"}, counts)]
                if counts
                else []
            ),
        ],
    }


def _total(counts: list[int] | int | None) -> int:
    return sum(counts) if isinstance(counts, list) else counts or 0


def _record_set(name: str, fields: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": f"{name}/{field}",
                "dataType": kind,
            }
            for field, kind in fields.items()
        ],
        "data": rows,
    }
