"""Every test runs as the workflow's jobs do: one thread, the same instruction set."""

import os
from pathlib import Path

# Before anything imports torch. Two workers with two OpenMP threads each would wait for each other.
os.environ.update(
    ATEN_CPU_CAPABILITY="avx2",
    ONEDNN_MAX_CPU_ISA="AVX2",
    MKL_CBWR="COMPATIBLE",
    OMP_NUM_THREADS="1",
)

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def in_the_repository(monkeypatch):
    """For what looks files up from the repository's folder."""
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def raw():
    """The content of params.yaml, to be spoiled."""
    import yaml

    return yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
