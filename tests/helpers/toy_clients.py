"""What tests of FedLMG and its rivals share: clients that hold rows, and settings of small images."""

import numpy as np

from fedgenbench.data.partition import Client, Partition
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings

UNGUIDED = {"editing_steps": 0, "guide": False}


class Killed(Exception):
    pass


def quiet(done, note):
    pass


def holding(*rows, test=(0,)):
    """A client for each list of training rows."""
    clients = [Client(np.array(each, np.int64), np.array(test)) for each in rows]
    return Partition("toy", "", {}, 0, "", tuple(clients), {})


def small_images(prompt="a {label}", scale=3.0, batch=4, per_class=2, **changes):
    """Two steps at 32 pixels with one editing step, unless ``changes`` of the guidance say else."""
    guidance = {
        "form": "noise",
        "editing_steps": 1,
        "editing_loss": "batch_norm",
        "editing_step": 1.0,
        "guide": True,
        "cross_entropy": 1.0,
        "batch_norm": 0.1,
        "strength": 1.0,
        "scheduler": "pipeline",
        "checkpointing": False,
        "skipped_share": 0.0,
    }
    return GuidedImagesSettings.model_validate(
        {
            "base": {"source": "models/foundation", "precision": "fp32", "resolution": 32},
            "prompt": prompt,
            "sampler": {"steps": 2, "guidance": scale, "batch": batch},
            "guidance": guidance | changes,
            "per_class": per_class,
        }
    )
