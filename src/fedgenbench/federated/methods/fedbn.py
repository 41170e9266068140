"""FedBN: batch normalisation stays local (Li et al., ICLR 2021)."""

from fedgenbench.federated.method import Method


class FedBN(Method):
    """All tensors travel but those of batch-norm layers: affine ones and running statistics."""

    label = "FedBN"
    family = "personalised"
    source = "Li et al. 2021, Algorithm 1; papers/warmfed.md §6"

    def shares(self, name: str) -> bool:
        return name not in self.task.norm
