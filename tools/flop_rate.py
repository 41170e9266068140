"""Counted operations over measured CPU time, of small programs of every kind, on one core.

python tools/flop_rate.py    (the table of docs/forecast.md; it takes half a minute)
"""

import torch
from tabulate import tabulate

from fedgenbench.commands.rate import rate
from fedgenbench.images.programs import AdapterStep, Decoding, DenoisingStep, GuidedStep
from fedgenbench.models.programs import ClassifierStep
from fedgenbench.systems.pfedgpa.work import AutoencoderStep, DenoiserStep

MINIATURE = "models/foundation", "fp32", 32
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
KINDS = {
    "adapter": [AdapterStep(n, *MINIATURE, 4, TARGETS) for n in (4, 16)],
    "sampling": [DenoisingStep(n, *MINIATURE) for n in (4, 16)],
    "decoding": [Decoding(n, *MINIATURE) for n in (4, 16)],
    "guidance": [GuidedStep(n, *MINIATURE, "bn_cnn", 32, False) for n in (4, 16)],
    "classifier": [ClassifierStep(n, "resnet18", (3, 64, 64), 10) for n in (4, 16)],
    "autoencoder": [AutoencoderStep(n, 20_000, 64) for n in (4, 16)],
    "denoiser": [DenoiserStep(n, 256, "unet") for n in (4, 16)],
}


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for kind, programs in KINDS.items():
        rates = [rate(program, "cpu", seconds=0.7)[1] / 1e9 for program in programs]
        batches = [program.batch for program in programs]
        rows.append([kind, *rates, max(rates) / min(rates)])
    columns = ["program", *(f"GFLOP/s, batch {n}" for n in batches), "ratio"]
    print(tabulate(rows, headers=columns, floatfmt=(None, ".1f", ".1f", ".2f"), tablefmt="github"))


if __name__ == "__main__":
    main()
