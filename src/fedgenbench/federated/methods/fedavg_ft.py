"""FedAvg + FT: the global model, fine-tuned by each client before it is used."""

from fedgenbench.federated.method import Method


class FedAvgFT(Method):
    """FedAvg to the bit; each client deploys the model that it trained, and not the aggregate."""

    label = "FedAvg + FT"
    family = "personalised"
    source = "papers/pfedgpa.md §6 (whole-model fine-tuning)"
