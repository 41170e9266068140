"""Draws models/public_drawings.png, the public images that FedDF distils on, from the foundation's pool.

    python tools/public_drawings.py POOL

POOL is the folder that `snakemake foundation_pool` makes. The images are training images of the pool,
drawn as a training step draws them but each once; none is a client's or like one (docs/foundation.md).
What they are, and their licences, stands beside them in models/public_drawings.json.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from fedgenbench.core.files import atomic_path, sha256_file, write_json
from fedgenbench.core.streams import stream
from fedgenbench.data.sources import source_of
from fedgenbench.plan.settings import load
from fedgenbench.systems.foundation.pool import load_pool

COUNT = 600
PICTURE = Path("models/public_drawings.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pool", type=Path, help="made by `snakemake foundation_pool`")
    pool = load_pool(parser.parse_args().pool)
    seen = pool.part(held_out=False)
    odds = seen.weights(load("params.yaml")[1]["embedded"].foundation.shares)
    rows = stream(0, "public drawings").choice(len(odds), COUNT, replace=False, p=odds)
    with atomic_path(PICTURE) as temporary:
        Image.fromarray(np.concatenate(seen.images[rows])).save(temporary, "PNG")
    used = {seen.styles[row] for row in rows}
    record = {
        "images": [[seen.styles[row], seen.names[row]] for row in rows],
        "works": [each for each in source_of("public_drawings")["works"] if each["work"] in used],
        "pool_sha256": pool.sha256,
        "sha256": sha256_file(PICTURE),
    }
    write_json(PICTURE.with_suffix(".json"), record)


if __name__ == "__main__":
    main()
