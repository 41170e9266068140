"""Guided generation at Stable Diffusion 1.5's shapes, 512 pixels: a batch against one image at a time.

Random weights, a ResNet-18 classifier with random statistics, 50 ancestral steps and M = 10 editing steps
(papers/fedlmg.md §4); `--form latent` is guidance as the released code has it. The rival is the same loop
at batch 1, which is how that code runs. Every
case is a process of its own. Prints rows and, of a full-size run on a GPU, writes
benchmarks/guided_generation.json.
Usage: python benchmarks/guided_generation.py [--batch 16] [--repeats 3] [--checkpointing] [--form latent]
A miniature on a CPU, to see that it runs; nothing is written: add --tiny. There the seconds are the
processor's, which a busy machine disturbs least.

FLOPs are those of all networks, forward and backward, counted in one batch; a share is of the rate of a
large bf16 matrix product on the same card.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
from lora_tuning import device_name, matrix_rate, model


def orders(pipeline: Any, count: int, device: str) -> list[Any]:
    """``count`` images of two clients, each with a ResNet-18 on 224 pixels, alternately."""
    import torch

    from fedgenbench.images.adapters import embedded
    from fedgenbench.images.guidance import Order
    from fedgenbench.images.uploads import Upload
    from fedgenbench.models import build

    embedding = embedded(pipeline, ["an image of a face"])[0]
    uploads = [
        Upload(
            client=client,
            model=build("resnet18", (3, 224, 224), 20, client),
            classes=tuple(range(20)),
            outputs=20,
            mean=(0.4815, 0.4578, 0.4082),
            std=(0.2686, 0.2613, 0.2758),
            edge=224,
        ).frozen(torch.device(device))
        for client in (0, 1)
    ]
    return [Order(row % 2, row % 20, embedding, row, uploads[row % 2]) for row in range(count)]


def case(tiny: bool, device: str, batch: int, checkpointing: bool, form: str) -> dict[str, Any]:
    """Seconds of a batch after a short one to warm up, FLOPs of a short one, peak GPU bytes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fedgenbench.images.guidance import Guided
    from fedgenbench.images.guidance_settings import Guidance

    torch.set_num_threads(1)
    pipeline, resolution = model(tiny, device), 64 if tiny else 512
    asked = orders(pipeline, batch, device)

    def play(steps: int, editing: int) -> float:
        settings = Guidance(
            form=form,
            editing_steps=editing,
            editing_loss="batch_norm",
            editing_step=1.0,
            guide=True,
            cross_entropy=1.0,
            batch_norm=0.2,
            strength=1.0,
            scheduler="ddpm",
            checkpointing=checkpointing,
            skipped_share=1.0,
        )
        clock = time.process_time if device == "cpu" else time.perf_counter
        start = clock()
        Guided(pipeline, settings, steps, 3.0).draw(asked, resolution)  # the images end on the CPU
        return clock() - start

    steps, editing = (2, 1) if tiny else (50, 10)
    play(2, 0)
    # Two steps and three have the same ends: their difference is a step's.
    counts = []
    for number in (2, 3):
        with FlopCounterMode(display=False) as counter:
            play(number, 0)
        counts.append(counter.get_total_flops())
    with FlopCounterMode(display=False) as counter:
        play(2, 1)
    editing_flops = counter.get_total_flops() - counts[0]
    step_flops = counts[1] - counts[0]
    flops = counts[0] + (steps - 2) * step_flops + editing * editing_flops
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    seconds = play(steps, editing)
    return {
        "seconds": seconds,
        "flops": flops,
        "peak_bytes": None if device == "cpu" else torch.cuda.max_memory_allocated(),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a miniature on the CPU")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--checkpointing", action="store_true", help="less memory, more time")
    parser.add_argument("--form", choices=("noise", "latent"), default="noise", help="of guidance")
    parser.add_argument("--case", choices=("rate", "batch"))
    chosen = parser.parse_args(arguments)
    device = "cpu" if chosen.tiny else "cuda"
    if chosen.case == "rate":
        rate = matrix_rate(device, 256 if chosen.tiny else 8192)
        print(json.dumps({"rate": rate, "device": device_name(device)}))
        return
    if chosen.case:
        print(
            json.dumps(case(chosen.tiny, device, chosen.batch, chosen.checkpointing, chosen.form))
        )
        return
    card = _run("rate", chosen, 1)
    # Repeats are the outer loop, so that a change of the machine's load meets both.
    found: dict[int, list[dict[str, Any]]] = {1: [], chosen.batch: []}
    for _ in range(chosen.repeats):
        for batch, runs in found.items():
            runs.append(_run("batch", chosen, batch))
    rows = []
    for batch, runs in found.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        rows.append(
            {
                "batch": batch,
                "images_per_second": batch / seconds,
                "least_and_most_seconds": [pick(r["seconds"] for r in runs) for pick in (min, max)],
                "flops_per_image": runs[0]["flops"] / batch,
                "share_of_matrix_rate": runs[0]["flops"] / seconds / card["rate"],
                "peak_bytes": runs[0]["peak_bytes"],
                "checkpointing": chosen.checkpointing,
                "form": chosen.form,
                "repeats": chosen.repeats,
                "device": card["device"],
            }
        )
        print(rows[-1], flush=True)
    print(f"ratio {rows[1]['images_per_second'] / rows[0]['images_per_second']:.2f}", flush=True)
    if not chosen.tiny:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _run(what: str, chosen: argparse.Namespace, batch: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", what, "--batch", str(batch)]
    command += ["--form", chosen.form]
    command += ["--tiny"] * chosen.tiny + ["--checkpointing"] * chosen.checkpointing
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
