"""Captions of the public drawings, and the tokenizer that is made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fedgenbench.data.drawings import NO_CLASS
from fedgenbench.systems.foundation.settings import Text

# The papers' prompts for a class (WarmFed sheet §4, FedLMG sheet §4), alone, and with the name of the
# drawing or the words for its kind, by which the model can tell the members of a class apart.
PROMPTS = ("a photo of a {label}", "an image of {label}")
STYLE_WORDS = {
    "emoji": "emoji",
    "colour": "colour icon",
    "line": "line icon",
    "solid": "solid icon",
    "sketch": "sketch",
}

START, END = "<|startoftext|>", "<|endoftext|>"


def captions(label: str, name: str, kind: str) -> list[str]:
    """Eight captions of a drawing ``name``: both prompts, each with and without its name and kind.

    A drawing without a class, of ``label`` ``NO_CLASS``, has its name in the class's place.
    """
    words, style = name.replace("-", " "), STYLE_WORDS[kind]
    subjects = [words, words] if label == NO_CLASS else [label, f"{label}, {words}"]
    plain = [prompt.format(label=subject) for subject in subjects for prompt in PROMPTS]
    return plain + [f"{caption}, {style}" for caption in plain]


def class_prompt(label: str) -> str:
    """The prompt under which the model is judged for a class."""
    return PROMPTS[0].format(label=label)


def make_tokenizer(texts: Iterable[str], settings: Text) -> Any:
    """A ``CLIPTokenizer`` whose byte pairs are learnt from ``texts``; no vocabulary is fetched.

    Its vocabulary is built as CLIP's: the 256 bytes, the same at the end of a word, one token per
    merge, two special ones. Any text can be written in it.
    """
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = alphabet + [f"{letter}</w>" for letter in alphabet]

    def clip(merges: list[tuple[str, str]]) -> Any:
        tokens = [*letters, *(a + b for a, b in merges), START, END]
        return CLIPTokenizer(
            vocab={token: row for row, token in enumerate(dict.fromkeys(tokens))},
            merges=merges,
            model_max_length=settings.length,
        )

    plain = clip([]).backend_tokenizer
    words: Counter[str] = Counter()
    for text in texts:
        pieces = plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(text))
        words.update(piece for piece, _ in pieces)
    return clip(learnt_merges(words, settings.merges))


def learnt_merges(words: dict[str, int], count: int) -> list[tuple[str, str]]:
    """At most ``count`` byte pairs, the most frequent first, from the counts of words.

    Sennrich et al. (2016), algorithm 1. Ties go to the last pair in alphabetical order: the trainer
    of the tokenizers library breaks them differently in each process.
    """
    parts = {(*word[:-1], f"{word[-1]}</w>"): number for word, number in words.items()}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, number in parts.items():
            for pair in pairwise(word):
                pairs[pair] += number
        if not pairs:
            break
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        parts = {_joined(word, merges[-1]): number for word, number in parts.items()}
    return merges


def _joined(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """``word`` with each occurrence of ``pair``, from the left, made one part."""
    parts: list[str] = []
    for part in word:
        if parts and (parts[-1], part) == pair:
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(parts)


def token_ids(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token numbers int64 [len(texts), length], padded and cut as the pipeline does."""
    encoded = tokenizer(
        texts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return encoded.input_ids.to(torch.int64)
