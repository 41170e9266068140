"""What the server does with uploads: refuse bad ones, average good ones."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
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


def shape_fault(upload: Slots, expected: Slots) -> str | None:
    """What is wrong with the roles, names, shapes or types of an upload, or None."""
    if upload.keys() != expected.keys():
        return f"it holds {', '.join(sorted(upload))}, expected {', '.join(sorted(expected))}"
    for role, state in expected.items():
        got = upload[role]
        if got.keys() != state.keys():
            odd = sorted(got.keys() ^ state.keys())
            return f"tensors of {role!r} differ from the server's: {', '.join(odd)}"
        for name, tensor in state.items():
            if got[name].shape != tensor.shape or got[name].dtype != tensor.dtype:
                return (
                    f"{role}/{name} is {tuple(got[name].shape)} {got[name].dtype}, "
                    f"expected {tuple(tensor.shape)} {tensor.dtype}"
                )
    return None


def pattern(uploads: list[Slots], model: State) -> Slots:
    """The upload that the others are measured by: of the most common form, fitting the server."""

    def form(upload: Slots) -> frozenset:
        return frozenset(
            (role, name, t.shape, t.dtype) for role, s in upload.items() for name, t in s.items()
        )

    def fits(upload: Slots) -> bool:
        sent = upload.get("model", {})
        return all(name in model and t.shape == model[name].shape for name, t in sent.items())

    votes = Counter(map(form, uploads))
    return max(uploads, key=lambda upload: (votes[form(upload)], fits(upload)))


def finite_faults(stacked: Slots) -> dict[int, str]:
    """Row -> what is not finite, for uploads stacked ``[K, ...]``."""
    faults: dict[int, str] = {}
    for role, state in stacked.items():
        for name, values in state.items():
            if not values.is_floating_point():
                continue
            # A finite sum proves all finite at a fraction of the cost of looking at each value.
            if torch.isfinite(values.sum()):
                continue
            bad = ~torch.isfinite(values).flatten(1).all(1)
            for row in bad.nonzero().flatten().tolist():
                faults.setdefault(row, f"{role}/{name} has a value that is not finite")
    return faults


def admit(
    uploads: Slots | list[Slots], model: State, clients: list[int], on_bad_upload: str
) -> tuple[Slots, list[int], dict[int, str]]:
    """Stacks the good uploads; returns them, their rows and the refused clients with the reason.

    ``uploads`` is one per client, or all of them as an engine stacked them: then they are of one
    shape already, and are not taken apart. ``model`` is the server's, which tells the right shapes.

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
    late = finite_faults(stacked)
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
            "non-finite values; on_bad_upload: skip goes on without such clients"
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
