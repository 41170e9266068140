"""What is asked of tensors that come from a client, whatever they are: the one check of all uploads.

Classifiers of the rounds and of one shot, adapters and prompt embeddings pass it before a server uses
them. torch is imported inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Largest root mean square of a tensor that one shot takes; the rounds have a setting, `upload_rms`.
# Trained weights and batch norm's statistics are below 10²; fp16, in which adapters travel, ends at
# 6·10⁴.
LARGEST_RMS = 1e4


def form_fault(sent: Mapping[str, Any], expected: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the names, shapes or types of tensors, or None.

    ``expected`` tells names, shapes and types; its numbers do not matter (they may be on "meta").
    """
    import torch

    if odd := sorted(map(str, sent.keys() ^ expected.keys())):
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        return f"only one of sent and expected has {', '.join(odd[:3])}{more}"
    for name, like in expected.items():
        tensor = sent[name]
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            return f"{name} is no dense tensor but {type(tensor).__name__}"
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            return (
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"expected {tuple(like.shape)} {like.dtype}"
            )
    return None


def value_faults(stacked: Mapping[str, Tensor], largest: float = math.inf) -> dict[int, str]:
    """Row -> what is wrong with the numbers of tensors that are stacked ``[K, ...]``.

    Refused is what is not finite; a tensor whose root mean square is above ``largest``; and a running
    variance below zero. Integers are taken as they are.
    """
    import torch

    faults: dict[int, str] = {}
    for name, values in stacked.items():
        if not values.is_floating_point():
            continue
        rows = values.reshape(len(values), -1)
        # One pass over the numbers: what is not finite shows in the norm.
        exact = torch.promote_types(values.dtype, torch.float32)
        norms = torch.linalg.vector_norm(rows, dim=1, dtype=exact)
        rms = norms / math.sqrt(max(1, rows.shape[1]))
        odd = ~(norms.isfinite() & (rms <= largest))
        if name.endswith("running_var"):
            odd |= (rows < 0).any(1)
        for row in odd.nonzero().flatten().tolist():
            if not rows[row].isfinite().all():
                faults.setdefault(row, f"{name} is not finite")
            elif rms[row] > largest:
                size = f"{float(rms[row]):.2g}, above {largest:g}"
                faults.setdefault(row, f"{name} has a root mean square of {size}")
            elif name.endswith("running_var") and (rows[row] < 0).any():
                faults.setdefault(row, f"{name} has a variance below zero")
    return faults


def value_fault(sent: Mapping[str, Tensor], largest: float = LARGEST_RMS) -> str | None:
    """``value_faults`` of one client's tensors."""
    return value_faults({name: tensor[None] for name, tensor in sent.items()}, largest).get(0)
