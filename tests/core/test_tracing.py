"""FLOPs and bytes counted on shapes, against what one works out by hand."""

import contextlib
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedgenbench.core.tracing import Program, Work, cost, largest_batch

MIB = 2**20


@dataclass(frozen=True)
class Chain(Program):
    """Linear layers of 512 on ``batch`` rows, forward or forward and back; the weights are frozen."""

    layers: int
    back: bool

    @contextlib.contextmanager
    def running(self, device):
        with torch.device(device):
            network = nn.Sequential(*(nn.Linear(512, 512, bias=False) for _ in range(self.layers)))
            rows = torch.zeros(self.batch, 512, requires_grad=self.back)
        network.requires_grad_(False)

        def step():
            out = network(rows)
            if self.back:
                out.sum().backward()

        yield step, [network]


@dataclass(frozen=True)
class Attention(Program):
    """Attention of 8 heads of 64 numbers over 1,024 places."""

    @contextlib.contextmanager
    def running(self, device):
        parts = torch.zeros(3, self.batch, 8, 1024, 64, device=device, dtype=torch.float16)
        yield lambda: F.scaled_dot_product_attention(*parts), []


@pytest.mark.parametrize(("back", "matmuls"), [(False, 3), (True, 6)])
def test_flops_are_two_for_a_multiplication_and_its_addition(back, matmuls):
    counted = cost(Chain(7, layers=3, back=back))
    assert counted.flops == matmuls * 2 * 7 * 512 * 512
    assert counted.weights == 3 * 512 * 512 * 4


def test_what_is_freed_is_not_counted_twice():
    # Two activations at a time, whatever the depth; a frozen layer keeps none for the way back.
    row = 512 * 4
    for depth in (3, 6):
        counted = cost(Chain(1000, layers=depth, back=False))
        assert counted.peak - counted.weights == 2 * 1000 * row


def test_attention_keeps_no_matrix():
    counted = cost(Attention(4))
    matrix = 4 * 8 * 1024 * 1024 * 2
    assert counted.peak < matrix / 3
    assert counted.flops == 2 * 2 * 4 * 8 * 1024 * 1024 * 64


def test_torch_has_its_own_attention_again():
    before = F.scaled_dot_product_attention
    cost(Attention(1))
    assert F.scaled_dot_product_attention is before


@pytest.mark.parametrize("memory", [4 * MIB, 40 * MIB, 400 * MIB])
def test_the_largest_batch_fits_and_the_next_does_not(memory):
    program = Chain(1000, layers=3, back=False)
    most = largest_batch(program, memory)
    assert most > 0
    assert cost(replace(program, batch=most)).peak <= memory
    assert cost(replace(program, batch=most + 1)).peak > memory


def test_no_batch_fits_where_the_weights_do_not():
    assert largest_batch(Chain(8, layers=3, back=False), 3 * MIB) == 0


def test_work_counts_images_and_not_batches():
    program = Chain(10, layers=1, back=False)
    assert Work(program, 25).flops == 25 * 2 * 512 * 512
