"""Judges a foundation model by a pool's images, whichever pool it was trained on.

    python tools/judge_foundation.py models/foundation_strict --pool results/foundation/pool-<digest> \\
        --data data/prepared/emoji_domains-<digest> --out folder

writes ``evidence.json`` and the pictures that the rule of the workflow (`snakemake foundation`) makes.
Two models are compared where both are judged by the same pool.
"""

import argparse
from pathlib import Path

import torch

from fedgenbench.core.files import write_json
from fedgenbench.data.dataset import load as load_data
from fedgenbench.images.inception import inception
from fedgenbench.images.pipeline import load
from fedgenbench.plan.settings import load as load_settings
from fedgenbench.systems.foundation.evidence import evaluate
from fedgenbench.systems.foundation.pool import load_pool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--pool", type=Path, required=True, help="made by the rule foundation_pool")
    parser.add_argument("--data", type=Path, required=True, help="EmojiDomains, as prepared")
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="of the FID Inception")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    found = evaluate(
        load(str(chosen.model), torch.float32, "cpu"),
        load_settings("params.yaml")[1]["embedded"].foundation,
        load_pool(chosen.pool),
        load_data(chosen.data),
        inception(chosen.raw),
        chosen.out,
    )
    write_json(chosen.out / "evidence.json", found)


if __name__ == "__main__":
    main()
