"""A data set and settings small enough to train the whole foundation model in seconds."""

import hashlib

import numpy as np

from fedgenbench.data.dataset import Dataset
from fedgenbench.foundation import networks
from fedgenbench.foundation.captions import captions, make_tokenizer
from fedgenbench.foundation.pipeline import assemble
from fedgenbench.foundation.pool import public_pool
from fedgenbench.foundation.settings import Foundation
from fedgenbench.rng import stream

CLASSES = ["face", "plant"]
STYLES = ["public-a", "public-b"]


def names(test: bool, count: int) -> list[str]:
    """The first ``count`` made-up drawings that are, or are not, test names."""
    candidates = (f"drawing-{i}" for i in range(1000))
    chosen = [
        name
        for name in candidates
        if (int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0) == test
    ]
    return chosen[:count]


def dataset(public_names=None, public_styles=STYLES) -> Dataset:
    """Faces are red and plants green, noisy, 32×32; each name is drawn in both public styles."""
    drawn = list(public_names or names(test=False, count=24))
    labels = np.array([i % 2 for i in range(len(drawn))] * 2, np.int64)
    colours = np.array([[230, 40, 40], [40, 200, 40]])
    noise = stream(0, "tiny").integers(-30, 30, (len(labels), 32, 32, 3))
    images = np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
    empty = np.zeros((0, 32, 32, 3), np.uint8)
    card = {
        "name": "tiny",
        "classes": CLASSES,
        "domains": ["client-a"],
        "public_domains": list(public_styles),
        "public_names": drawn * 2,
        "sha256": "0" * 64,
    }
    return Dataset(
        card=card,
        train_images=empty,
        train_labels=np.zeros(0, np.int64),
        test_images=empty,
        test_labels=np.zeros(0, np.int64),
        public_images=images,
        public_labels=labels,
        public_domains=np.repeat([0, 1], len(drawn)),
    )


def settings(vae_steps: int = 4, unet_steps: int = 4) -> Foundation:
    training = {"batch_size": 4, "lr": 2e-3, "ema": 0.9, "save_every": 2}
    return Foundation.model_validate(
        {
            "seed": 0,
            "holdout": 4,
            "vae": {
                "channels": [8, 8, 16],
                "latent_channels": 4,
                "kl_weight": 1e-3,
                "training": training | {"steps": vae_steps},
            },
            "text": {"merges": 40, "length": 16, "width": 16, "layers": 1, "heads": 2},
            "unet": {
                "channels": [8, 16],
                "heads": 2,
                "caption_dropout": 0.1,
                "variants": 2,
                "training": training | {"steps": unet_steps},
            },
            "sampler": {"steps": 2, "guidance": 3.0},
            "evidence": {"per_class": 4, "epochs": 1},
        }
    )


def untrained():
    """A whole pipeline with random weights."""
    chosen = settings()
    pool = public_pool(dataset(), holdout=4)
    texts = [text for name in pool.names for text in captions("face", name)]
    tokenizer = make_tokenizer(texts, chosen.text)
    return assemble(
        networks.vae(chosen.vae, 1),
        networks.unet(chosen.unet, chosen.vae, chosen.text, 2),
        networks.text_encoder(chosen.text, tokenizer, 3),
        tokenizer,
    )
