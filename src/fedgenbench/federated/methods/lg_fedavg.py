"""LG-FedAvg: local representations under a global head (Liang et al., 2020)."""

from fedgenbench.federated.method import Method


class LGFedAvg(Method):
    """Body and head train together; only the last layer travels."""

    label = "LG-FedAvg"
    family = "personalised"
    source = "Liang et al. 2020, Algorithm 1; papers/pfedgpa.md §6"

    def shares(self, name: str) -> bool:
        return name in self.task.head
