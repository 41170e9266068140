"""The scales, from the smallest to the largest. Loads nothing heavy."""

from typing import Literal, get_args

Scale = Literal["smoke", "embedded", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
