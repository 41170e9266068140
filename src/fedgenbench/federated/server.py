"""What the server does with uploads: refuse bad ones, average good ones."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.core.uploads import LARGEST_RMS, form_fault, value_faults
from fedgenbench.federated.types import Slots, State


def weighted_mean(stacked: State, weights: Tensor) -> State:
    """Per-tensor weighted sum over clients of ``[K, ...]``, in client order and in float64.

    Integers are rounded. A fixed order of sums makes the result independent of engine and thread;
    float64 makes it nearly independent of the order as well.
    """
    mean = {}
    for name, values in stacked.items():
        total = torch.zeros(values.shape[1:], dtype=torch.float64, device=values.device)
        for value, weight in zip(values, weights.tolist(), strict=True):
            total.add_(value, alpha=weight)
        # Equal counters of clients stay what they are: a float64 sum may end just below.
        whole = not values.is_floating_point()
        mean[name] = (total.round() if whole else total).to(values.dtype)
    return mean


def flat(slots: Slots) -> State:
    """Tensors by role and name, as messages name them."""
    return {f"{role}/{name}": t for role, state in slots.items() for name, t in state.items()}


def shape_fault(upload: Slots, expected: Slots) -> str | None:
    """What is wrong with the roles, names, shapes or types of an upload, or None."""
    if not all(isinstance(state, dict) for state in upload.values()):
        return "a role of it holds no tensors by name"
    return form_fault(flat(upload), flat(expected))


def pattern(uploads: list[Slots], model: State) -> Slots:
    """The upload that the others are measured by: it fits the server's model, and of those that do its
    form is the most common."""

    def form(upload: Slots) -> frozenset:
        return frozenset((name, t.shape, t.dtype) for name, t in flat(upload).items())

    def fits(upload: Slots) -> bool:
        sent = upload.get("model", {})
        return all(
            n in model and (t.shape, t.dtype) == (model[n].shape, model[n].dtype)
            for n, t in sent.items()
        )

    whole = [upload for upload in uploads if shape_fault(upload, upload) is None] or [{}]
    votes = Counter(map(form, whole))
    return max(whole, key=lambda upload: (fits(upload), votes[form(upload)]))


def finite_faults(stacked: Slots, largest: float = math.inf) -> dict[int, str]:
    """Row -> what is wrong with the numbers of uploads stacked ``[K, ...]``, as ``value_faults``."""
    return value_faults(flat(stacked), largest)


def admit(
    uploads: Slots | list[Slots],
    model: State,
    clients: list[int],
    on_bad_upload: str,
    largest: float = LARGEST_RMS,
) -> tuple[Slots, list[int], dict[int, str]]:
    """Stacks the good uploads; returns them, their rows and the refused clients with the reason.

    ``uploads`` is one per client, or all of them as an engine stacked them: then they are of one
    shape already, and are not taken apart. ``model`` is the server's, which tells the right shapes.
    ``largest`` is the largest root mean square of a tensor.

    Raises:
        UserError: an upload is bad and ``on_bad_upload`` is ``"stop"``, or none is good.
    """
    if isinstance(uploads, list):
        expected = pattern(uploads, model)
        faults = {
            row: fault for row, up in enumerate(uploads) if (fault := shape_fault(up, expected))
        }
        good = [row for row in range(len(uploads)) if row not in faults]
        stacked = stack_slots([uploads[row] for row in good]) if good else {}
    else:
        faults, good, stacked = {}, list(range(len(clients))), uploads
    late = finite_faults(stacked, largest)
    faults |= {good[position]: fault for position, fault in late.items()}
    if late:
        keep = [position for position in range(len(good)) if position not in late]
        stacked = {r: {n: t[keep] for n, t in s.items()} for r, s in stacked.items()}
        good = [good[position] for position in keep]
    refused = {clients[row]: fault for row, fault in sorted(faults.items())}
    if refused and (on_bad_upload == "stop" or not good):
        client, fault = next(iter(refused.items()))
        raise UserError(
            f"the upload of client {client} was refused: {fault}. A lower learning rate often cures "
            "values that are not finite or too large; upload_rms says what is too large; "
            "on_bad_upload: skip goes on without such clients"
            + ("." if good else ", but here no good upload is left.")
        )
    return stacked, good, refused


def stack_slots(rows: list[Slots]) -> Slots:
    """Stacks equal slots along a new first dimension; shared tensors are expanded, not copied."""

    def stack(tensors: list[Tensor]) -> Tensor:
        first = tensors[0]
        if all(t is first for t in tensors):
            return first.expand(len(tensors), *first.shape)
        return torch.stack(tensors)

    return {
        role: {name: stack([row[role][name] for row in rows]) for name in state}
        for role, state in rows[0].items()
    }


def row_of(stacked: Slots, row: int) -> Slots:
    """One client's view of stacked slots."""
    return {role: {name: t[row] for name, t in state.items()} for role, state in stacked.items()}


def nbytes(slots: Slots) -> int:
    return sum(t.numel() * t.element_size() for state in slots.values() for t in state.values())
