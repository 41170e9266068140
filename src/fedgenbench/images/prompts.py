"""Prompts of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.images.adapters import embedded


def class_prompts(template: str, classes: Sequence[str]) -> list[str]:
    """``template`` with each class for ``{label}``; underscores in a name become spaces."""
    return [template.format(label=name.replace("_", " ")) for name in classes]


def class_embeddings(pipeline: Any, template: str, classes: Sequence[str]) -> Tensor:
    """Embeddings [len(classes), L, D] of the classes' prompts, no two alike; errors as of
    ``require_distinct``."""
    prompts = class_prompts(template, classes)
    found = embedded(pipeline, prompts)
    require_distinct(pipeline, template, prompts, found)
    return found


def require_distinct(
    pipeline: Any, template: str, prompts: Sequence[str], embeddings: Tensor
) -> None:
    """Refuses prompts that the text encoder cannot tell apart: all images would be of one class.

    Raises:
        UserError: names the template, two prompts and the token limit.
    """
    first: dict[bytes, str] = {}
    for prompt, embedding in zip(prompts, embeddings.float().cpu().numpy(), strict=True):
        twin = first.setdefault(embedding.tobytes(), prompt)
        if twin is prompt:
            continue
        limit = pipeline.tokenizer.model_max_length
        tokens = len(pipeline.tokenizer(prompt, truncation=False, verbose=False).input_ids)
        why = (
            f"they have {tokens} tokens, the text encoder reads {limit}: shorten the template, or put "
            "{label} nearer to its beginning"
            if tokens > limit
            else f"they differ in nothing that the tokenizer (limit: {limit} tokens) knows: give the "
            "two classes other names"
        )
        raise UserError(
            f"the prompt {template!r}: {twin!r} and {prompt!r} are one to the base model; {why}"
        )
