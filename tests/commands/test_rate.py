"""The rate of this machine, in the workflow's own programs."""

import re

from fedgenbench.commands.rate import measured


def test_the_rate_of_a_core_is_what_it_does_in_a_second():
    said = measured("cpu", seconds=0.3)
    rate, steps = re.match(
        r"one core: ([\d.e+-]+) TFLOP/s in (\d+) sampling steps, foundation, 32 px, fp32, 8 images",
        said,
    ).groups()
    # No core does a TFLOP in a second, none less than a hundredth of a percent of it.
    assert 1e-4 < float(rate) < 1
    assert int(steps) >= 1
    assert f"--tflops {rate} " in said
