"""What makes a CPU compute the same bits as another: set before torch is loaded (docs/determinism.md)."""

# The same instructions on every CPU with AVX2, and one thread.
ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
