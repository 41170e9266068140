"""Every test runs as the workflow's jobs do: one thread, the same instruction set."""

import os

# Before anything imports torch. Two workers with two OpenMP threads each would wait for each other.
os.environ.update(
    ATEN_CPU_CAPABILITY="avx2",
    ONEDNN_MAX_CPU_ISA="AVX2",
    MKL_CBWR="COMPATIBLE",
    OMP_NUM_THREADS="1",
)
