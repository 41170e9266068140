"""An experiment small enough for whole studies: five clients in two groups, four classes of 6×6."""

import numpy as np

from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import FedPacSettings, make_partition

METHOD = {
    "layers": [],
    "buffer": 3,
    "autoencoder": "none",
    "components": 4,
    "autoencoder_channels": 16,
    "autoencoder_steps": [2, 1],
    "reconstruction": 0.0,
    "denoiser": "mlp",
    "denoiser_steps": [12, 3],
    "batch_size": 8,
    "rule": "dpm_encoder",
    "eta": 0.7,
    "inversion_steps": 10,
    "start": 300,
    "warmup": 1,
    "others": "averaged",
    "generation": "diffusion",
}
SETTINGS = {
    "method": "pfedgpa",
    "method_settings": METHOD,
    "seed": 1,
    "mean": [0.5],
    "std": [0.5],
    "augment": False,
    "score_on": "test",
    "on_bad_upload": "stop",
    "upload_rms": 1e4,
    "model": "mlp",
    "rounds": 3,
    "participation": 1.0,
    "local": {"epochs": 1, "batch_size": 4, "lr": 0.1, "momentum": 0.5, "weight_decay": 0.0},
    "engine": "sequential",
    "evaluate_every": 1,
    "density": [],
}
CLIENTS = 5


def changed(**method):
    """The settings with some of the method's own replaced."""
    return SETTINGS | {"method_settings": METHOD | method}


def toy(clients=CLIENTS):
    """The data set and its partition."""
    draws = np.random.default_rng(5)
    labels = np.repeat(np.arange(4), 40)
    centres = draws.integers(0, 256, (4, 6, 6, 1))

    def images():
        noise = draws.integers(0, 256, (len(labels), 6, 6, 1))
        return ((centres[labels] + 2 * noise) // 3).astype(np.uint8)

    card = {"name": "toy", "title": "Toy", "classes": list("abcd"), "domains": None, "sha256": ""}
    dataset = Dataset(card, images(), labels, images(), labels)
    scheme = FedPacSettings(
        scheme="fedpac",
        clients=clients,
        groups=[[0, 1], [2, 3]],
        train_per_client=20,
        test_per_client=20,
    )
    return dataset, make_partition(dataset, scheme, 0)
