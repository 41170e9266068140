"""A mode in which no operator may get tensors of the meta device and of the CPU together.

A GPU refuses such a mixture; the meta device, which stands for it here, lets much of it pass. Single
numbers on the CPU are allowed, as they are beside a GPU's tensors; so is a copy from one to the other.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class OneDevice(TorchDispatchMode):
    """Raises ``AssertionError`` that names the operator."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}
        assert len(devices) < 2 or operator in COPIES, f"{operator} gets tensors of {devices}"
        return operator(*args, **(kwargs or {}))
