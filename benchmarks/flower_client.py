"""The ClientApp of the Flower contestant, in a module of its own: Ray's workers import it."""

import os
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from common import MLP, Problem, single_thread
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.utils.data import DataLoader, TensorDataset

app = ClientApp()


@cache
def load() -> Problem:
    """Once per worker process."""
    single_thread()
    return Problem(Path(os.environ["BENCHMARK_PROBLEM"]))


@app.train()
def train(msg: Message, context: Context) -> Message:
    """One local epoch, as in Flower's PyTorch quickstart."""
    problem = load()
    client = context.node_config["partition-id"]
    round_ = msg.content["config"]["server-round"] - 1
    model = MLP().to(problem.x.dtype)
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    dataset = TensorDataset(problem.x[client], problem.y[client])
    order = problem.order[round_, client].tolist()
    loader = DataLoader(dataset, batch_size=problem.batch_size, sampler=order)
    optimizer = torch.optim.SGD(model.parameters(), lr=problem.lr)
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    content = {
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": len(dataset)}),
    }
    return Message(content=RecordDict(content), reply_to=msg)
