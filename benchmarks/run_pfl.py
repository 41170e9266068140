"""pfl (pfl-research), PyTorch, SimulatedBackend in one process. Usage: run_pfl.py PROBLEM OUT

Settings as in its own image-classification benchmark: tensors made beforehand, users' data in
memory, WeightByDatapoints, SGD on both sides.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from common import MLP, Clock, Problem, report, single_thread
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel


class Net(MLP):
    def loss(self, x, y):
        self.train()
        return F.cross_entropy(self(x), y)

    @torch.no_grad()
    def metrics(self, x, y):
        self.eval()
        return {"loss": Weighted(F.cross_entropy(self(x), y, reduction="sum").item(), len(y))}


class Laps(TrainingProcessCallback):
    def __init__(self, clock: Clock):
        self.clock = clock

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        self.clock.lap()
        return False, Metrics()


def main() -> None:
    single_thread()
    problem, out = Problem(Path(sys.argv[1])), Path(sys.argv[2])
    # pfl does not shuffle; each (round, client) is a slice of its own, put in order beforehand.
    slices = [
        (problem.x[client][order], problem.y[client][order])
        for orders in problem.order
        for client, order in enumerate(orders)
    ]
    sampler = get_user_sampler("minimize_reuse", range(len(slices)))
    data = FederatedDataset.from_slices(slices, sampler)
    net = Net().to(problem.x.dtype)
    net.load_state_dict(problem.initial)
    model = PyTorchModel(
        model=net,
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.SGD(net.parameters(), 1.0),
    )
    clock = Clock()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=problem.rounds,
            evaluation_frequency=problem.rounds + 1,  # the first round only, which is not timed
            train_cohort_size=problem.clients,
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(
            training_data=data, val_data=data, postprocessors=[WeightByDatapoints()]
        ),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1,
            local_learning_rate=problem.lr,
            local_batch_size=problem.batch_size,
        ),
        callbacks=[Laps(clock)],
    )
    report(out, clock, net.state_dict(), {"pfl": version("pfl")})


if __name__ == "__main__":
    main()
