"""How many operations a second this machine does in the workflow's own programs."""

from __future__ import annotations

import time

from fedgenbench.core.gpu import lease

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

        from fedgenbench.core.tracing import cost
        from fedgenbench.images.programs import DenoisingStep

        torch.set_num_threads(1)
        gpu = chosen != "cpu"
        program = DenoisingStep(BATCH, *(ON_GPU if gpu else ON_CPU))
        # On a CPU its own time: others may be at work beside.
        clock = time.perf_counter if gpu else time.process_time
        with program.running(chosen) as (step, _):
            steps, started = -1, 0.0
            while steps < 1 or clock() - started < seconds:
                step()
                if gpu:
                    torch.cuda.synchronize()
                steps += 1
                if not steps:  # the first one warms up
                    started = clock()
            spent = clock() - started
        name = torch.cuda.get_device_name() if gpu else "one core"
    tflops = steps * cost(program).flops / spent / 1e12
    return (
        f"{name}: {tflops:.3g} TFLOP/s in {steps} sampling steps, {program.model}, {BATCH} images at a "
        f"time. `fedgenbench forecast --scale paper --tflops {tflops:.3g} --memory GIB` takes it on."
    )
