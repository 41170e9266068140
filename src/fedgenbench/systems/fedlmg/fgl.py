"""FGL: clients send captions of their images, the server draws from these (sheet §6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.images.adapters import PRECISIONS, base_model, embedded
from fedgenbench.images.folder import require_place
from fedgenbench.images.guidance import Guided, Order
from fedgenbench.images.loading import require_whole
from fedgenbench.images.memory import Batch
from fedgenbench.images.prompts import class_prompts, require_distinct
from fedgenbench.systems.fedlmg.baseline_settings import FGL
from fedgenbench.systems.fedlmg.costs import flops, parameters
from fedgenbench.systems.fedlmg.generation import Generated, draw, noise_seed
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings

TOKENS = 20  # new ones in a caption, at most: the default of the authors' transformers 4.28


def images(
    contest: GuidedImagesSettings,
    own: FGL,
    dataset: Dataset,
    partition: Partition,
    device: Any,
    *,
    seed: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> Generated:
    """``contest.per_class`` images for each client and each class that it holds (WarmFed sheet §4.1).

    Every training image is captioned and every caption goes up, as in the authors' code, whether it
    is drawn from or not. The k-th image of a client and class is of the k-th of its captions, in an
    order drawn by name; after the last the first comes again. The report has also, by client, the
    UTF-8 bytes of the captions and the seconds of captioning. Finished captions are kept in
    ``checkpoint``, which and ``tell`` are as of ``generation.draw``.

    Raises:
        UserError: the captioner cannot be had; or as of ``base_model`` and ``draw``.
    """
    sent, report = captions(contest, own, dataset, partition, device, checkpoint)
    pipeline = base_model(contest.base, device)
    chosen, classes = [], dataset.card["classes"]
    for client, held in enumerate(partition.clients):
        of_class = dataset.train_labels[held.train]
        for label in np.unique(of_class).tolist():
            rows = np.flatnonzero(of_class == label)
            order = stream(seed, "fgl", client, label).permutation(rows)
            name = classes[label].replace("_", " ")
            texts = [sent[client][row] for row in np.resize(order, contest.per_class)]
            chosen.append(
                (client, label, [own.prompt.format(label=name, caption=t) for t in texts])
            )
    # A caption may be cut off, the class before it not.
    bare = [own.prompt.format(label=name, caption="") for name in class_prompts("{label}", classes)]
    require_distinct(pipeline, own.prompt, bare, embedded(pipeline, bare))
    different = sorted({prompt for *_, prompts in chosen for prompt in prompts})
    embeddings = dict(zip(different, embedded(pipeline, different), strict=True))
    shards = [
        [
            Order(client, label, embeddings[prompt], noise_seed(seed, client, label, number))
            for number, prompt in enumerate(prompts)
        ]
        for client, label, prompts in chosen
    ]
    guided = Guided(
        pipeline,
        contest.guidance,
        contest.sampler.steps,
        contest.sampler.guidance,
        negative=own.negative,
    )
    generated = draw(contest, guided, shards, checkpoint, tell)
    notes = report.pop("notes") + generated.report["notes"]
    generated.report.update(report, notes=notes)
    return generated


def captions(
    contest: GuidedImagesSettings,
    own: FGL,
    dataset: Dataset,
    partition: Partition,
    device: Any,
    checkpoint: Checkpoint,
) -> tuple[list[list[str]], dict[str, Any]]:
    """A caption per training image of each client, and the report's part of them.

    Raises:
        UserError: the data set has no names of its drawings, or the captioning model is not here.
    """
    if own.captioner == "names" and "train_names" not in dataset.card:
        raise UserError(
            f"fedlmg.rivals.fgl.captioner: {dataset.name} has no names of its drawings; give a "
            "captioning model, for example Salesforce/blip2-opt-2.7b"
        )
    store, model = checkpoint.below("captions"), None
    sent = []
    counts = ("upload_bytes", "client_seconds", "client_flops", "download_parameters")
    report: dict[str, Any] = {name: {} for name in counts} | {"notes": []}
    for client, held in enumerate(partition.clients):
        found = store.get(f"client-{client}")
        if found is None:
            if own.captioner != "names" and model is None:
                model = _captioner(own.captioner, PRECISIONS[contest.base.precision], device)
            asked = {"flops": 0, "parameters": 0}
            if model is not None:
                one = dataset.train_images[held.train[:1]]
                work = partial(_captioned, *model, one, Batch(1, "a caption"))
                asked = {"flops": flops(work), "parameters": parameters(model[1])}
            started = time.perf_counter()
            batch = Batch(contest.sampler.batch, f"client {client}, captioning")
            if model is None:
                names = dataset.card["train_names"]
                texts = [names[row].replace("-", " ") for row in held.train]
            else:
                texts = _captioned(*model, dataset.train_images[held.train], batch)
                if not any(texts):
                    raise UserError(
                        f"fedlmg.rivals.fgl.captioner: {own.captioner} wrote no word for any image of "
                        f"client {client}; copy or fetch the model again, its tokenizer first"
                    )
            facts = asked | {"seconds": time.perf_counter() - started, "notes": batch.notes}
            # As the bytes that go up, one caption a line; the ends of lines are not counted.
            found = {"captions": np.frombuffer("\n".join(texts).encode(), np.uint8)}, facts
            store.put(f"client-{client}", *found)
        arrays, facts = found
        sent.append(arrays["captions"].tobytes().decode().split("\n"))
        report["upload_bytes"][client] = sum(len(text.encode()) for text in sent[-1])
        report["client_seconds"][client] = facts["seconds"]
        report["client_flops"][client] = facts["flops"]
        report["download_parameters"][client] = facts["parameters"]
        report["notes"] += facts["notes"]
    return sent, report


def _captioner(source: str, dtype: torch.dtype, device: Any) -> tuple[Any, Any]:
    """Processor and model of a folder or hub id."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    require_place(source)
    local = Path(source).is_dir()
    try:
        processor = AutoProcessor.from_pretrained(source, local_files_only=local)
        model, found = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=local,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"fedlmg.rivals.fgl.captioner: no captioning model could be loaded from {source!r}: "
            f"{str(error).strip()}\nGive either a folder in transformers' layout (config.json, "
            "weights as .safetensors, tokenizer and image processor), or a hub id. Without a "
            f"network, run `hf download {source} --local-dir <folder>` on a connected machine and "
            "copy the folder here; or set it to `names`, where the data set has them."
        ) from error
    for part in ("tokenizer", "image_processor"):
        if not hasattr(processor, part):
            raise UserError(
                f"fedlmg.rivals.fgl.captioner: {source} has no {part.replace('_', ' ')}, so it is not "
                "complete; copy or fetch the model again"
            )
    # Some layers that a caption does not need may be there, none may be drawn at random.
    require_whole(found | {"unexpected_keys": ()}, f"the captioning model {source}: its weights")
    return processor, model.to(device).eval().requires_grad_(False)


def _captioned(processor: Any, model: Any, private: np.ndarray, batch: Batch) -> list[str]:
    """Greedy captions of images uint8 [n, H, W, 1 or 3]; what is not printed on one line is cut."""
    shape = (*private.shape[:3], 3)

    def some(rows: slice) -> np.ndarray:
        pictures = list(np.broadcast_to(private, shape)[rows])
        inputs = processor(images=pictures, return_tensors="pt").to(model.device, model.dtype)
        found = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=TOKENS)
        texts = processor.batch_decode(found, skip_special_tokens=True)
        return np.array([" ".join(text.split()) for text in texts])

    return np.concatenate(batch.over(len(private), some)).tolist()
