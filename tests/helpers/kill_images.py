"""Plays a job with images unbroken, then killed at random moments; prints the kills and checksums.

``kill_images.py FOLDER KIND KILLS``: a finished run begins anew until there were so many kills. Every
result is compared, and what lies beside it: nothing half written may stay.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tiny_clients import CLASSES, quiet, settings, tuned, untrained
from tiny_guidance import guidance, upload

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.images.adapters import embedded
from fedgenbench.images.generated import save_images
from fedgenbench.images.prompts import class_prompts
from fedgenbench.systems.fedlmg.generation import generate
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.warmfed.prompts import prompt_only

torch.set_num_threads(1)


def adapter(pipeline, folder):
    made, history, _ = tuned(pipeline, folder, steps=12, save_every=1)
    made.save(folder / "result")
    assert history[-1]["step"] == 12


def images(pipeline, folder):
    kept = Checkpoint(folder / "checkpoint", "one")
    save(folder, prompt_only(settings(), pipeline, CLASSES, seed=0, checkpoint=kept, tell=quiet))


def guided(pipeline, folder):
    chosen = GuidedImagesSettings.model_validate(
        {
            "base": {"source": "models/foundation", "precision": "fp32", "resolution": 32},
            "prompt": "a photo of a {label}",
            "sampler": {"steps": 2, "guidance": 3.0, "batch": 2},
            "guidance": guidance().model_dump(),
            "per_class": 1,
            "total_per_class": None,
        }
    )
    uploads = [upload(client, outputs=4, classes=(0, 1, 2)) for client in range(2)]
    embeddings = embedded(pipeline, class_prompts("a photo of a {label}", [*CLASSES, "sign"]))
    kept = Checkpoint(folder / "checkpoint", "one")
    save(
        folder, generate(chosen, pipeline, uploads, embeddings, seed=0, checkpoint=kept, tell=quiet)
    )


def save(folder, drawn):
    save_images(folder / "result", drawn.images, drawn.labels, np.array(drawn.style), {})


def attempt(job, pipeline, folder, delay):
    """The status of a forked process that does the job and is killed after ``delay`` seconds, if at
    all."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        try:
            job(pipeline, folder)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)  # a child that has ended waits to be asked for its status
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder, kind, kills):
    job, pipeline = {"adapter": adapter, "images": images, "guided": guided}[kind], untrained()
    started = time.monotonic()
    assert attempt(job, pipeline, folder / "whole", None) == 0
    seconds = time.monotonic() - started
    chance = random.Random(f"{kind} {os.getpid()}")
    killed, done = 0, 0
    while killed < kills:
        delay = chance.uniform(0, 0.7 * seconds)
        status = attempt(job, pipeline, folder / f"broken{done}", delay)
        assert status in (0, -signal.SIGKILL), status
        killed += status != 0
        done += status == 0
    # The last run goes on to its end.
    assert attempt(job, pipeline, folder / f"broken{done}", None) == 0
    done += 1
    places = [folder / "whole", *(folder / f"broken{number}" for number in range(done))]
    sums = [hashlib.sha256((place / "result").read_bytes()).hexdigest() for place in places]
    halves = [str(path) for path in folder.glob("broken*/.result*")]
    print(json.dumps({"killed": killed, "finished": done, "sums": sums, "halves": halves}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
