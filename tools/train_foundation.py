"""Trains the foundation model for hours in the background, outside the workflow.

    python tools/train_foundation.py open --threads 2 --state ~/foundation

goes on where the checkpoints in the state folder stopped, until the steps of params.yaml are made; it may
be killed at any time. ``--export FOLDER`` writes the model as it stands, with its records, and trains
nothing. The rule of the workflow (`snakemake foundation`) makes the same steps from the same random
streams, on one thread and with the instructions that all machines with AVX2 share; here every one may be
used, since the weights are kept as an artifact.
"""

import argparse
import shutil
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from fedgenbench.core.files import read_json, write_json
from fedgenbench.core.provenance import Stopwatch
from fedgenbench.images.folder import part_files
from fedgenbench.images.pipeline import save
from fedgenbench.plan.settings import load as load_settings
from fedgenbench.systems.foundation.networks import assemble
from fedgenbench.systems.foundation.pool import Pool, load_pool
from fedgenbench.systems.foundation.settings import Foundation, UNetJob, VaeJob
from fedgenbench.systems.foundation.unet import kept_unet, train_unet
from fedgenbench.systems.foundation.vae import train_vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("subjects", choices=["open", "strict"])
    parser.add_argument("--pool", type=Path, required=True, help="made by the rule foundation_pool")
    parser.add_argument("--state", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", type=Path, help="write the model as it stands to this folder")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = load_settings("params.yaml")[1]["embedded"].foundation
    settings = settings.model_copy(update={"subjects": chosen.subjects})
    pool, folder = load_pool(chosen.pool), chosen.state / "unet"
    vae = autoencoder(settings, pool, chosen.state)
    job = UNetJob.model_validate(settings.model_dump(include=set(UNetJob.model_fields)))
    watch = Stopwatch(folder)
    if chosen.export:
        parts = kept_unet(job, pool, folder)
        export(vae, parts, job, watch, chosen)
    else:
        train_unet(job, pool, vae, "cpu", folder=folder, tell=teller(chosen.state / "unet.log"))


def export(vae, parts, job: UNetJob, watch: Stopwatch, chosen: argparse.Namespace) -> None:
    """Writes the model with its records; its settings say the steps that were made."""
    unet, text_encoder, tokenizer, history = parts
    save(assemble(vae, unet, text_encoder, tokenizer, job.unet.prediction), chosen.export)
    shutil.copy2(chosen.pool / "pool.json", chosen.export)
    settings = job.model_dump()
    settings["unet"]["training"]["steps"] = history[-1]["step"]
    write_json(
        chosen.export / "provenance.json",
        watch.record("cpu")
        | {"settings": settings, "history": history}
        | {"pool_sha256": read_json(chosen.pool / "pool.json")["sha256"]}
        | {"vae": read_json(chosen.state / "vae.json")}
        | {"files": part_files(chosen.export)},
    )


def autoencoder(settings: Foundation, pool: Pool, state: Path) -> AutoencoderKL:
    """The trained autoencoder, from ``state`` where it is finished there."""
    if not (state / "vae.json").exists():
        job = VaeJob.model_validate(settings.model_dump(include=set(VaeJob.model_fields)))
        watch = Stopwatch(state / "vae-training")
        network, history = train_vae(
            job,
            pool,
            "cpu",
            folder=state / "vae-training",
            tell=teller(state / "vae.log"),
        )
        network.save_pretrained(state / "vae")
        record = watch.record("cpu") | {"history": history, "pool_sha256": pool.sha256}
        write_json(state / "vae.json", record | {"settings": job.model_dump()})
    network = AutoencoderKL.from_pretrained(state / "vae", local_files_only=True)
    network.register_to_config(_name_or_path="")  # else a path of this machine would be exported
    return network


def teller(log: Path):
    """Writes a line every fifty steps: step, loss, wall and processor seconds."""
    started = time.time() - time.process_time()

    def tell(step: int, text: str) -> None:
        if step % 50 == 0:
            with log.open("a") as file:
                spent = f"{time.time() - started:.0f} s, {time.process_time():.0f} s of processor"
                print(step, text, spent, file=file)

    return tell


if __name__ == "__main__":
    main()
