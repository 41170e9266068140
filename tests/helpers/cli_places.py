"""Names that the tests of the command line share."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
EXPERIMENT = "fashion_mnist-10"
