"""The untrained miniature, and clients with a few images each, for tests of adapters and images."""

import numpy as np
import torch
from miniature import untrained

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import stream
from fedgenbench.images.adapters import embedded
from fedgenbench.images.lora import tune
from fedgenbench.images.prompts import class_prompts
from fedgenbench.systems.warmfed.settings import WarmFed

CLASSES = ["face", "plant", "ice_cream"]
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


class Killed(Exception):
    pass


def quiet(done, note):
    pass


def settings(source="models/foundation", lora=(), sampler=(), **other):
    """Settings of a run of seconds; ``lora`` and ``sampler`` replace some of theirs."""
    chosen = {
        "base": {"source": str(source), "precision": "fp32", "resolution": 32},
        "prompt": "a photo of a {label}",
        "lora": {
            "rank": 2,
            "alpha": 3.0,
            "targets": TARGETS,
            "steps": 5,
            "batch_size": 4,
            "lr": 1e-2,
            "weight_decay": 1e-2,
            "clip": 1.0,
            "save_every": 2,
        }
        | dict(lora),
        "sampler": {"steps": 2, "guidance": 3.0, "batch": 4} | dict(sampler),
        "per_class": 3,
        "prompts": {"templates": ["a {label}", "a drawing of a {label}"], "per_class": 2},
        "subset": 0.5,
        "warm_start": {
            "epochs": 1,
            "batch_size": 8,
            "lr": 0.01,
            "momentum": 0.9,
            "weight_decay": 0.0,
        },
        "examine": {"members": 2, "draws": 1, "shown": 1},
        "trials": None,
    }
    return WarmFed.model_validate(chosen | other)


def private(count=6):
    """Images uint8 [count, 32, 32, 3] and labels, of the classes 0 and 2 alone."""
    images = stream(0, "private").integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    return images, np.array([0, 2] * count, np.int64)[:count]


def tuned(pipeline, folder, *, count=6, embeddings=None, tell=quiet, client=3, **lora):
    """Adapter, history and notes of a client; its checkpoint is ``folder``/checkpoint."""
    if embeddings is None:
        embeddings = embedded(pipeline, class_prompts("a photo of a {label}", CLASSES))
    return tune(
        settings(lora=lora).lora,
        pipeline,
        *private(count),
        embeddings,
        seed=0,
        client=client,
        checkpoint=Checkpoint(folder / "checkpoint", "one"),
        tell=tell,
    )


def prediction(pipeline, seed=0):
    """What the U-Net makes of fixed latents."""
    generator = torch.Generator().manual_seed(seed)
    edge, unet = pipeline.unet.config.sample_size, pipeline.unet
    latents = torch.randn(2, unet.config.in_channels, edge, edge, generator=generator)
    width = unet.config.cross_attention_dim
    context = torch.randn(2, 16, width, generator=generator)
    with torch.no_grad():
        return unet(
            latents.to(unet.dtype), 500, encoder_hidden_states=context.to(unet.dtype)
        ).sample


def bits(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


class SmallGpu:
    """A U-Net that runs out of memory with more than ``room`` images, going ``way``."""

    def __init__(self, unet, room, way="forward"):
        self.unet, self.room, self.way, self.seen = unet, room, way, []

    def __enter__(self):
        def enter(module, args, kwargs):
            self.seen.append(len(args[0]))
            if self.way == "forward":
                self.refuse(len(args[0]))

        def back(module, gradient, output):
            self.refuse(len(output[0]))

        self.handles = [
            self.unet.register_forward_pre_hook(enter, with_kwargs=True),
            # Half of the matrices have their gradients by then.
            self.unet.mid_block.register_full_backward_hook(back),
        ]
        return self

    def refuse(self, count):
        if count > self.room:
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory with {count} images")

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


__all__ = ["untrained"]
