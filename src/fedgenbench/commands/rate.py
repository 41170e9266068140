"""How many operations a second this machine does in the workflow's own programs."""

from __future__ import annotations

import time

from fedgenbench.core.gpu import lease
from fedgenbench.core.tracing import Program, cost

SECONDS = 20
BATCH = 8
ON_GPU = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "bf16", 512)
ON_CPU = ("models/foundation", "fp32", 32)


def measured(device: str = "auto", seconds: float = SECONDS) -> str:
    """The rate of a sampling step for so many seconds, in a sentence: of Stable Diffusion's size with
    arbitrary weights on a GPU, of the miniature on one core of a CPU.

    Raises:
        UserError: ``device`` is cuda and there is none.
    """
    with lease(device) as chosen:
        # Imported late: the lease decides which GPU torch sees.
        import torch

        from fedgenbench.images.programs import DenoisingStep

        torch.set_num_threads(1)
        gpu = chosen != "cpu"
        program = DenoisingStep(BATCH, *(ON_GPU if gpu else ON_CPU))
        steps, operations = rate(program, chosen, seconds)
        name = torch.cuda.get_device_name() if gpu else "one core"
    tflops = operations / 1e12
    return (
        f"{name}: {tflops:.3g} TFLOP/s in {steps} sampling steps, {program.model}, {BATCH} images at a "
        f"time. `fedgenbench forecast --scale paper --tflops {tflops:.3g} --memory GIB` takes it on."
    )


def rate(program: Program, device: str, seconds: float) -> tuple[int, float]:
    """Steps of ``program`` that were timed, for so many seconds or two steps, and its counted operations
    a second. On a CPU seconds are the process' own: others may be at work beside."""
    import torch

    gpu = device != "cpu"
    clock = time.perf_counter if gpu else time.process_time
    with program.running(device) as (step, _):

        def timed() -> float:
            step()
            if gpu:
                torch.cuda.synchronize()
            return clock()

        started = now = timed()  # the first one warms up
        steps = 0
        while steps < 2 or now - started < seconds:
            now = timed()
            steps += 1
    return steps, steps * cost(program).flops / (now - started)
