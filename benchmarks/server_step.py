"""pFedGPA's server step on 117,066 weights a client: all clients at once against one by one.

Every case is a process of its own on one thread; prints and writes benchmarks/server_step.json.
Usage: python benchmarks/server_step.py [--clients 10 100] [--repeats 3] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

WIDTH, ROWS, STEPS = 117_066, 10, 200
LOOPED = 10  # clients that the slow cases are measured on
CASES = ("together", "inversion one by one", "fit and inversion one by one")


def case(how: str, autoencoder: str, clients: int, device: str) -> dict[str, float]:
    """Seconds of one server step and the process's peak memory in bytes.

    "together" is the code of the rounds: one fit of 200 steps on the buffer, then all uploads are
    encoded, inverted in 50 strided steps and decoded. Algorithm 1 as written updates the model and
    inverts for each upload by itself: "fit and inversion one by one". Between them, only the
    inversion goes client by client. One by one, the first ten clients are timed, of a buffer of all.
    """
    import torch

    from fedgenbench.models import build
    from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
    from fedgenbench.systems.pfedgpa.generator import Generator
    from fedgenbench.systems.pfedgpa.settings import GeneratorSettings
    from fedgenbench.systems.pfedgpa.vectors import Layout

    torch.set_num_threads(1)
    settings = GeneratorSettings(
        layers=[],
        buffer=ROWS,
        autoencoder=autoencoder,
        components=64,
        autoencoder_steps=(0, 0),
        reconstruction=0.0,
        denoiser="mlp",
        denoiser_steps=(STEPS, STEPS),
        batch_size=64,
        rule="dpm_encoder",
        eta=0.7,
        inversion_steps=50,
        start=1000,
    )
    layout = Layout.of(build("fedpac_cnn", (1, 28, 28), 10, 0).state_dict())
    assert layout.width == WIDTH
    draws = torch.Generator().manual_seed(0)
    base = 0.02 * torch.randn(WIDTH, generator=draws)
    buffer = ReplayBuffer(layout, ROWS)
    ids = list(range(clients))
    for _ in range(ROWS):
        noise = torch.randn(clients, WIDTH, generator=draws)
        buffer.add(noise.mul_(0.0016).add_(base).to(device), ids)
    uploads, _ = buffer.latest()
    generator = Generator(layout, settings, 0, device)

    def made(rows: list[int]) -> None:
        generator.decode(generator.generate(generator.encode(uploads[rows]), rows))

    start = time.perf_counter()
    if how == "together":
        generator.fit(buffer)
        made(ids)
    else:
        once = how == "inversion one by one"
        if once:
            generator.fit(buffer)
        fitted = time.perf_counter()
        for client in ids[:LOOPED]:
            if not once:
                generator.fit(buffer)
            made([client])
        # Every client costs the same: the others are added to the time.
        start -= (time.perf_counter() - fitted) * (clients - LOOPED) / LOOPED
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs=2, default=[10, 100])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--case", nargs=3, metavar=("HOW", "AUTOENCODER", "CLIENTS"))
    chosen = parser.parse_args()
    if chosen.case:
        how, autoencoder, clients = chosen.case
        print(json.dumps(case(how, autoencoder, int(clients), chosen.device)))
        return
    rows = []
    for autoencoder in ("linear", "conv"):
        for clients in chosen.clients:
            for how in CASES:
                found = [
                    _run(how, autoencoder, clients, chosen.device) for _ in range(chosen.repeats)
                ]
                row = {"autoencoder": autoencoder, "clients": clients, "how": how}
                row |= {
                    "seconds": statistics.median(each["seconds"] for each in found),
                    "peak_bytes": max(each["peak_bytes"] for each in found),
                    "repeats": chosen.repeats,
                    "device": chosen.device,
                }
                rows.append(row)
                print(row, flush=True)
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _run(how: str, autoencoder: str, clients: int, device: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--device", device, "--case", how, autoencoder]
    done = subprocess.run([*command, str(clients)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
