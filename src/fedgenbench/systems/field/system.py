"""The system's place among the others."""

from fedgenbench.systems.base import System

SYSTEM = System(name="field", order=0)
