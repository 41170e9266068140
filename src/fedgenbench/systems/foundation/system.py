"""The system's place among the others."""

from fedgenbench.systems.base import System

SYSTEM = System(name="foundation", order=4, title="The foundation model")
