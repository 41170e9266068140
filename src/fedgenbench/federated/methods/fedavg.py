"""FedAvg: the weighted mean of locally trained models (McMahan et al., 2017)."""

from fedgenbench.federated.method import Method


class FedAvg(Method):
    """One global model; the aggregate itself is what a client deploys."""

    label = "FedAvg"
    private = True
    family = "global"
    source = "McMahan et al. 2017, Algorithm 1"
    personal = "global"
