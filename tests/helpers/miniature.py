"""A pool and settings small enough to train the whole foundation model in seconds."""

import numpy as np

from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.systems.foundation import networks
from fedgenbench.systems.foundation.captions import captions, make_tokenizer
from fedgenbench.systems.foundation.networks import assemble
from fedgenbench.systems.foundation.pool import Pool
from fedgenbench.systems.foundation.settings import Foundation

CLASSES = ["face", "plant", "other"]
SETS = {"public-a": "emoji", "public-b": "sketch"}


def pictures(labels, *names) -> np.ndarray:
    """Faces are red, plants green and others blue, noisy, 32×32."""
    colours = np.array([[230, 40, 40], [40, 200, 40], [40, 40, 230]])
    noise = stream(0, "tiny", *names).integers(-30, 30, (len(labels), 32, 32, 3))
    return np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)


def pool(count: int = 24) -> Pool:
    """``count`` names in two sets, of which every third is held out; every fifth has no class."""
    numbers = np.tile(np.arange(count), 2)
    labels = np.where(numbers % 5 == 4, 2, numbers % 2)
    styles = [style for style in SETS for _ in range(count)]
    return Pool(
        classes=CLASSES,
        images=pictures(labels),
        labels=labels,
        names=[f"drawing-{number}" for number in numbers],
        styles=styles,
        kinds=[SETS[style] for style in styles],
        held_out=numbers % 3 == 0,
        sha256="0" * 64,
    )


def clients(images: int = 6) -> Dataset:
    """A data set of clients with the pool's two classes."""
    labels = np.arange(images) % 2
    empty = np.zeros((0, 32, 32, 3), np.uint8)
    return Dataset(
        card={"name": "tiny", "classes": CLASSES[:2], "domains": ["client-a"], "sha256": "1" * 64},
        train_images=pictures(labels, "clients"),
        train_labels=labels,
        test_images=empty,
        test_labels=np.zeros(0, np.int64),
    )


def settings(vae_steps: int = 4, unet_steps: int = 4, prediction: str = "epsilon") -> Foundation:
    training = {"batch_size": 4, "lr": 2e-3, "ema": 0.9, "save_every": 2}
    return Foundation.model_validate(
        {
            "subjects": "open",
            "seed": 0,
            "shares": dict.fromkeys(("emoji", "colour", "line", "solid", "sketch"), 0.2)
            | {"classless": 0.2},
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
                "prediction": prediction,
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
    texts = [text for name in pool().names for text in captions("face", name, "emoji")]
    tokenizer = make_tokenizer(texts, chosen.text)
    return assemble(
        networks.vae(chosen.vae, 1),
        networks.unet(chosen.unet, chosen.vae, chosen.text, 2),
        networks.text_encoder(chosen.text, tokenizer, 3),
        tokenizer,
        chosen.unet.prediction,
    )
