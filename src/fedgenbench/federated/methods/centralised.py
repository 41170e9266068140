"""Training on everybody's data in one place: the control that privacy forbids."""

from fedgenbench.federated.method import Method


class Centralised(Method):
    """One client holds the union of the data and trains on, round after round; nothing travels."""

    label = "Centralised"
    family = "control"
    averages = False
    source = "papers/warmfed.md §6"
    personal = "global"
    pooled = True
