"""Local training only: the control below which federation is not worth its cost."""

from fedgenbench.federated.method import Method


class LocalOnly(Method):
    """Each client trains on its own data; nothing travels."""

    label = "Local only"
    family = "control"
    averages = False
    source = "papers/pfedgpa.md §6"

    def shares(self, name: str) -> bool:
        return False
