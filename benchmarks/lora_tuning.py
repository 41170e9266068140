"""Tuning a rank-4 adapter at Stable Diffusion 1.5's shapes, 512 pixels: `tune` against the common loop.

Random weights; every contestant is a process of its own. Prints rows and, of a full-size run on a GPU,
writes benchmarks/lora_tuning.json. Usage: python benchmarks/lora_tuning.py [--batch 4] [--repeats 3]
A miniature on a CPU, to see that it runs; nothing is written: python benchmarks/lora_tuning.py --tiny

"script" is the loop of diffusers' train_text_to_image_lora.py in its settings: images through the
autoencoder and captions through the text encoder in every step, matrices in fp32 beside a frozen base in
half precision, autocast, AdamW, clipping, the loss read in every step. Its data loader is left out and
its images lie on the device, which is in its favour. "tune" encodes once, which is timed apart. Both
have the same frozen U-Net, batch and precision. FLOPs are those of the U-Net, forward and backward,
counted; a share is of the rate of a large bf16 matrix product on the same card.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HOW = ("tune", "script")
WARM_UP = 10  # steps that are not timed
TINY_WARM_UP = 1
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TOKENIZER = Path(__file__).parents[1] / "models/foundation/tokenizer"


def model(tiny: bool, device: str) -> Any:
    """A pipeline of Stable Diffusion 1.5's shapes, or of small ones, in bf16; weights are random."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from fedgenbench.systems.foundation.networks import assemble

    widths = (8, 16, 16, 16) if tiny else (320, 640, 1280, 1280)
    vae_widths = (8, 16, 16, 16) if tiny else (128, 256, 512, 512)
    context, layers, heads = (16, 1, 2) if tiny else (768, 12, 12)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=8 if tiny else 64,
            block_out_channels=widths,
            norm_num_groups=8 if tiny else 32,
            cross_attention_dim=context,
            attention_head_dim=2 if tiny else 8,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=vae_widths,
            norm_num_groups=8 if tiny else 32,
            layers_per_block=2,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=context,
                intermediate_size=4 * context,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                max_position_embeddings=77,
            )
        )
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER, model_max_length=77)
    pipeline = assemble(vae, unet, text, tokenizer, "epsilon")
    for part in (unet, vae, text):
        part.eval().requires_grad_(False)
    return pipeline.to(device, torch.bfloat16)


def case(how: str, tiny: bool, device: str, batch: int, steps: int) -> dict[str, Any]:
    """Median seconds of a step, the seconds before the first one, FLOPs and peak GPU bytes."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    warm_up = TINY_WARM_UP if tiny else WARM_UP
    pipeline = model(tiny, device)
    edge = 64 if tiny else 512
    images = np.random.Generator(np.random.PCG64(0)).integers(
        0, 256, (4 * batch, edge, edge, 3), np.uint8
    )
    play = {"tune": tune, "script": script}[how]
    play(pipeline, images, batch, warm_up)  # kernels are chosen and memory is taken
    flops = unet_flops(pipeline, batch) if how == "tune" else None
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    ends = play(pipeline, images, batch, steps)
    # The end of the first step is the start of the timed ones.
    seconds = statistics.median(np.diff(ends).tolist())
    return {
        "seconds": seconds,
        "images_per_second": batch / seconds,
        "before": ends[0] - start - seconds,
        "images_encoded_before": len(images) if how == "tune" else 0,
        "flops": flops,
        "peak_bytes": None if device == "cpu" else torch.cuda.max_memory_allocated(),
    }


def tune(pipeline: Any, images: Any, batch: int, steps: int) -> list[float]:
    """The library's: the time at the end of each step."""
    import numpy as np

    from fedgenbench.core.checkpoint import Checkpoint
    from fedgenbench.images.adapters import embedded
    from fedgenbench.images.lora import tune
    from fedgenbench.images.settings import Lora

    ends: list[float] = []
    settings = Lora(
        rank=4,
        alpha=4.0,
        targets=TARGETS,
        steps=steps,
        batch_size=batch,
        lr=1e-4,
        weight_decay=1e-2,
        clip=1.0,
        save_every=steps,
    )
    with tempfile.TemporaryDirectory() as folder:
        tune(
            settings,
            pipeline,
            images,
            np.arange(len(images)) % 10,
            embedded(pipeline, ["a photo of a face"] * 10),
            seed=0,
            client=0,
            checkpoint=Checkpoint(folder, "benchmark"),
            # The loss was read, so the step is over on the GPU, too.
            tell=lambda done, note: ends.append(time.perf_counter()),
        )
    return ends


def script(pipeline: Any, images: Any, batch: int, steps: int) -> list[float]:
    """The common loop: the time at the end of each step."""
    import torch
    import torch.nn.functional as F
    from diffusers import DDPMScheduler
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    from fedgenbench.images.pixels import to_tensor
    from fedgenbench.systems.foundation.captions import token_ids

    unet, vae, text = pipeline.unet, pipeline.vae, pipeline.text_encoder
    device, dtype = unet.device, unet.dtype
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=TARGETS)
    )
    cast_training_params(unet, dtype=torch.float32)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4, weight_decay=1e-2)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    pixels = to_tensor(images).to(device)
    tokens = token_ids(pipeline.tokenizer, ["a photo of a face"] * batch).to(device)
    ends = []
    for step in range(steps):
        rows = torch.arange(step * batch, (step + 1) * batch, device=device) % len(pixels)
        with torch.no_grad():
            posterior = vae.encode(pixels[rows].to(dtype)).latent_dist
            latents = posterior.sample() * vae.config.scaling_factor
            context = text(tokens)[0]
        noise = torch.randn_like(latents)
        t = torch.randint(1000, (batch,), device=device)
        with torch.autocast(device.type, dtype):
            found = unet(scheduler.add_noise(latents, noise, t), t, context).sample
        loss = F.mse_loss(found.float(), noise.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
        ends.append(time.perf_counter())
    unet.unload_lora()
    return ends


def unet_flops(pipeline: Any, batch: int) -> int:
    """FLOPs of the U-Net with matrices beside it in one step, forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fedgenbench.images.adapters import low_rank

    unet = pipeline.unet
    edge, width = unet.config.sample_size, unet.config.cross_attention_dim
    draw = {"device": unet.device, "dtype": unet.dtype}
    with low_rank(unet, 4, 4.0, TARGETS, unet.dtype) as matrices:
        for matrix in matrices.values():
            matrix.data.zero_()
        with FlopCounterMode(display=False) as counter:
            latents, context = (
                torch.zeros(batch, 4, edge, edge, **draw),
                torch.zeros(batch, 77, width, **draw),
            )
            unet(latents, 500, context).sample.sum().backward()
    return counter.get_total_flops()


def matrix_rate(device: str, edge: int) -> float:
    """FLOPs a second of the product of two bf16 matrices [edge, edge]: the best of ten."""
    import torch

    torch.set_num_threads(1)
    # Random numbers: a card runs faster on a matrix of ones.
    draws = torch.Generator().manual_seed(0)
    a = torch.randn(edge, edge, generator=draws).to(device, torch.bfloat16)
    best = float("inf")
    for _ in range(13):  # the first ones warm up, and are never the best
        start = time.perf_counter()
        for _ in range(10):
            a @ a
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 10)
    return 2 * edge**3 / best


def device_name(device: str) -> str:
    import torch

    return "cpu" if device == "cpu" else torch.cuda.get_device_name()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a miniature on the CPU")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", choices=(*HOW, "rate"))
    chosen = parser.parse_args(arguments)
    device = "cpu" if chosen.tiny else "cuda"
    if chosen.case == "rate":
        rate = matrix_rate(device, 256 if chosen.tiny else 8192)
        print(json.dumps({"rate": rate, "device": device_name(device)}))
        return
    if chosen.case:
        print(json.dumps(case(chosen.case, chosen.tiny, device, chosen.batch, chosen.steps)))
        return
    card = _run("rate", chosen)
    # Repeats are the outer loop, so that a change of the machine's load meets both.
    found: dict[str, list[dict[str, Any]]] = {how: [] for how in HOW}
    for _ in range(chosen.repeats):
        for how in HOW:
            found[how].append(_run(how, chosen))
    flops = found["tune"][0]["flops"]
    rows = []
    for how, runs in found.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        rows.append(
            {
                "how": how,
                "seconds_per_step": seconds,
                "images_per_second": chosen.batch / seconds,
                "least_and_most_seconds": [
                    pick(run["seconds"] for run in runs) for pick in (min, max)
                ],
                "unet_flops_per_step": flops,
                "share_of_matrix_rate": flops / seconds / card["rate"],
                "matrix_rate": card["rate"],
                "seconds_before": statistics.median(run["before"] for run in runs),
                "images_encoded_before": runs[0]["images_encoded_before"],
                "peak_bytes": runs[0]["peak_bytes"],
                "batch": chosen.batch,
                "steps": chosen.steps,
                "repeats": chosen.repeats,
                "device": card["device"],
            }
        )
        print(rows[-1], flush=True)
    if not chosen.tiny:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _run(how: str, chosen: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", how, "--batch", str(chosen.batch)]
    command += ["--steps", str(chosen.steps)] + ["--tiny"] * chosen.tiny
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
