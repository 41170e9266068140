"""DENSE (Zhang et al., NeurIPS 2022): a student of the clients' ensemble on a generator's images.

No client sends more than its classifier, and no diffusion model is there. Turn by turn a fresh
generator is trained against the frozen classifiers, the best batch that it made joins a pool, and the
server's model is distilled on the pool. What the paper leaves open is as in the released code
(sheet §6), but for two things that all rows of the table share: images are normalised, and the
server's model sees them as they are, without augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.answers import answers
from fedgenbench.federated.data import augment
from fedgenbench.images.uploads import Upload, batch_norm_inputs
from fedgenbench.models.layers import needs_two_images, require_two_images
from fedgenbench.models.statistics import recalibrate
from fedgenbench.systems.fedlmg.baseline_settings import Dense
from fedgenbench.systems.fedlmg.clients import tensors
from fedgenbench.systems.fedlmg.settings import Server
from fedgenbench.systems.fedlmg.training import EVALUATION_BATCH, scored
from fedgenbench.systems.fedlmg.uploads import load, untrained
from fedgenbench.systems.job import Context

BETAS = (0.5, 0.999)  # of the generator's Adam
TERMS = ("cross_entropy", "batch_norm", "boundary", "distillation")
LARGEST_START = 8  # pixels along a side of the map that the generator begins with


@dataclass(frozen=True)
class Result:
    """What DENSE saw; each list has one number per turn.

    ``losses`` has the generator's three losses of the batch that it kept, before their weights
    (``cross_entropy``, ``batch_norm``, ``boundary``), and the student's mean loss (``distillation``).
    ``generated`` images are in the pool; ``images`` uint8 [n, H, W, C] and ``labels`` int64 [n] are
    those of the last turn.
    """

    losses: dict[str, list[float]]
    generated: int
    images: np.ndarray
    labels: np.ndarray


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says how accurate the server's model is, and how the generator's losses went."""
    settings, dataset = context.settings, context.dataset
    own, server = Dense.model_validate(settings["own"]), Server.model_validate(settings["server"])
    x, y = tensors(dataset.test_images, dataset.test_labels, settings, context.device)
    shape = tuple(x.shape[1:])
    student = untrained(server.model, shape, dataset.n_classes, context.seed, settings["imagenet"])
    uploads = load(context.inputs["models"][0], dataset.n_classes).items()
    result = dense(
        own,
        server,
        [upload for name, upload in uploads if name.startswith("client")],
        student,
        seed=context.seed,
        shape=shape,
        device=context.device,
        checkpoint=context.checkpoint,
        tell=context.progress(own.epochs),
    )
    tests = [torch.from_numpy(c.test).to(context.device) for c in context.partition.clients]
    row = scored(student, x, y, tests)
    said = answers({"dense": row.pop("answers")}, context.partition)
    losses = result.losses
    row |= {"losses": losses["distillation"], "images": result.generated}
    content = {"rows": {"dense": row}, "generator": losses} | said
    return content, f"{100 * sum(row['accuracy']) / len(tests):.1f} %"


def dense(
    own: Dense,
    server: Server,
    uploads: Sequence[Upload],
    student: nn.Module,
    *,
    seed: int,
    shape: tuple[int, ...],
    device: Any,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> Result:
    """Trains ``student`` in place, whole or its head alone, and leaves it in eval mode.

    ``uploads`` may be of any architectures; they share ``shape`` (C, H, W) and the normalisation of
    their images. Labels are drawn from the classes that some client holds. In turn t the student
    passes once over t batches, in steps of ``server.batch_size``, with one optimiser for all turns.
    After each turn the student, its optimiser and the batch go to ``checkpoint``: a resumed run gives
    the bits of an unbroken one. ``tell`` gets the number of turns that are done.

    Raises:
        UserError: there is no upload, the uploads or the student do not fit each other or ``shape``,
            a loss is not finite, or ``checkpoint`` is of another run.
    """
    _require_alike(uploads, student, shape)
    first = uploads[0]
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (first.mean, first.std))
    clients = nn.ModuleList(upload.frozen(device).model for upload in uploads)
    held = np.array(sorted({label for upload in uploads for label in upload.classes}), np.int64)
    count, alone = own.batch_size, server.trains == "head"
    student.to(device)
    if not alone and needs_two_images(student, shape):
        require_two_images("DENSE", "fedlmg.server.batch_size", count, server.batch_size)
    optimiser = torch.optim.SGD(  # it passes over what is frozen below
        student.parameters(), server.lr, momentum=server.momentum, weight_decay=server.weight_decay
    )
    # The pool stays on the host, in bytes: at 224 pixels it takes gigabytes.
    pool = torch.empty((own.epochs * count, *shape), dtype=torch.uint8)
    teachers = torch.empty((len(pool), uploads[0].outputs), device=device)
    losses: dict[str, list[float]] = {name: [] for name in TERMS}

    def normalised(rows: Tensor) -> Tensor:
        return (pool[rows].to(device).float() / 255 - mean) / std

    def labels(turn: int) -> np.ndarray:
        return stream(seed, "fedlmg", "dense", turn, "labels").choice(held, count)

    done = _resumed(checkpoint, student, optimiser, pool, teachers, losses, count)
    for turn in range(done, own.epochs):
        address, total = (seed, "fedlmg", "dense", turn), 0.0
        new = torch.arange(turn * count, (turn + 1) * count)
        pool[new], found = _synthesised(
            own,
            clients,
            student,
            torch.from_numpy(labels(turn)).to(device),
            (mean, std),
            shape,
            address,
        )
        with torch.no_grad():
            for rows in new.split(EVALUATION_BATCH):
                teachers[rows] = ensemble(clients, normalised(rows))
        student.train(not alone).requires_grad_(not alone)
        student.head.requires_grad_(True)
        # Dropout, which some architectures have, draws from torch's default generator.
        with torch.random.fork_rng(devices=[teachers.device] if teachers.is_cuda else []):
            torch.random.manual_seed(torch_seed(*address, "dropout"))
            order = torch.from_numpy(stream(*address, "order").permutation((turn + 1) * count))
            for rows in order.split(server.batch_size):
                if len(rows) == 1 < server.batch_size:
                    continue  # batch norm needs two values
                optimiser.zero_grad()
                logits = student(normalised(rows))[0]
                loss = divergence(logits, teachers[rows.to(device)], own.temperature).mean()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(rows)
        if not alone and server.statistics == "recalibrated":
            recalibrate(student, normalised, len(order))
        found["distillation"] = total / len(order)
        if not np.isfinite(total):
            raise UserError(
                f"DENSE: the student's loss is not finite in turn {turn + 1}; lower fedlmg.server.lr"
            )
        for name, value in found.items():
            losses[name].append(value)
        batch = {"images": pool[new].numpy(), "teachers": teachers[new].cpu().numpy()}
        checkpoint.put(f"dense-turn-{turn}", batch, found)
        checkpoint.put("dense-student", _state(student, optimiser), {"turns": turn + 1})
        tell(turn + 1, f"distillation {found['distillation']:.3f}")
    student.eval().requires_grad_(True)
    return Result(
        losses=losses,
        generated=len(pool),
        images=pool[-count:].permute(0, 2, 3, 1).contiguous().numpy(),
        labels=labels(own.epochs - 1),
    )


class Generator(nn.Module):
    """Images [n, C, H, W] between 0 and 1 from noise [n, ``noise``].

    A linear map to 2·``width`` channels, at the largest halving of H that has at most eight pixels
    (or where it is odd), then up to H by doublings, each with a 3×3 convolution, batch norm and
    LeakyReLU; the last has ``width`` channels. At 28 and 32 pixels it is the authors'. Batch norm
    takes the statistics of the batch: the generator is never in eval mode. Weights are drawn from
    ``seed`` as DCGAN's: of mean 0, those of batch norm 1, with a standard deviation of 0.02.
    """

    def __init__(self, noise: int, width: int, shape: tuple[int, ...], seed: int):
        super().__init__()
        start, doublings = shape[1], 0
        while start % 2 == 0 and start > LARGEST_START:
            start, doublings = start // 2, doublings + 1
        self.start, channels = start, 2 * width
        # Layers draw first weights of their own, from torch's default generator.
        with torch.random.fork_rng(devices=[]):
            self.first = nn.Linear(noise, channels * start**2)
            layers: list[nn.Module] = [_batch_norm(channels)]
            for number in range(doublings):
                outputs = width if number == doublings - 1 else channels
                layers += [
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                    _batch_norm(outputs),
                    nn.LeakyReLU(0.2),
                ]
                channels = outputs
            layers += [nn.Conv2d(channels, shape[0], 3, padding=1), nn.Sigmoid()]
            self.layers = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(seed)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
                centre = float(isinstance(layer, nn.BatchNorm2d))
                nn.init.normal_(layer.weight, centre, 0.02, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.first(z).unflatten(1, (-1, self.start, self.start)))


def ensemble(clients: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Mean of the clients' logits [n, classes] for normalised images [n, C, H, W]."""
    return torch.stack([client(x)[0] for client in clients]).mean(0)


def divergence(logits: Tensor, teachers: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) · T² per image [n], of logits [n, classes] over the temperature T."""
    student = F.log_softmax(logits / temperature, 1)
    teacher = F.log_softmax(teachers / temperature, 1)
    pointwise = F.kl_div(student, teacher, reduction="none", log_target=True)
    return pointwise.sum(1) * temperature**2


def boundary_loss(logits: Tensor, teachers: Tensor) -> Tensor:
    """−KL(ensemble ‖ student), a mean over all images; it counts where the two disagree."""
    disagree = logits.argmax(1) != teachers.argmax(1)
    return -(divergence(logits, teachers) * disagree).mean()


def statistics_loss(seen: Sequence[tuple[Any, Tensor]]) -> Tensor:
    """Σ over all batch-norm layers of all clients of ‖σ² − σ̂²‖₂ + ‖μ − μ̂‖₂.

    Not squared, and of the whole batch and its positions with the biased variance, as the released
    code: FedLMG's, by contrast, is of each image alone. Zero without a batch-norm layer.
    """
    total = torch.zeros(())
    for layer, x in seen:
        rows = x.movedim(1, -1).flatten(0, 2)  # on a CPU twice as fast as Tensor.var
        mean = rows.mean(0)
        var = (rows - mean).square().mean(0)
        total = total.to(x.device) + (
            torch.linalg.vector_norm(var - layer.running_var)
            + torch.linalg.vector_norm(mean - layer.running_mean)
        )
    return total


def _batch_norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _synthesised(
    own: Dense,
    clients: nn.ModuleList,
    student: nn.Module,
    targets: Tensor,
    normalisation: tuple[Tensor, Tensor],
    shape: tuple[int, ...],
    address: tuple[Any, ...],
) -> tuple[Tensor, dict[str, float]]:
    """The batch of least total loss of a turn, uint8 [n, C, H, W], and its losses.

    The noise is learned with the weights. All classifiers see the images cropped and flipped at
    random; the student is a fixed judge, in eval mode.
    """
    device, (mean, std) = targets.device, normalisation
    generator = Generator(own.noise, own.width, shape, torch_seed(*address, "generator"))
    # Half as fast again on a CPU as the other layout; torch's stub lacks the argument.
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    noise = stream(*address, "noise").standard_normal((len(targets), own.noise), np.float32)
    z = torch.from_numpy(noise).to(device).requires_grad_()
    optimiser = torch.optim.Adam([*generator.parameters(), z], lr=own.generator_lr, betas=BETAS)
    views = stream(*address, "views")
    student.eval().requires_grad_(False)
    black = ((0 - mean) / std).flatten()
    best, kept, losses = np.inf, torch.empty(0), {}
    for _ in range(own.generator_steps):
        images = generator(z)
        draws = torch.from_numpy(views.integers(0, [9, 9, 2], (len(targets), 3))).to(device)
        x = augment(((images - mean) / std).movedim(1, -1), draws, black).movedim(-1, 1)
        with batch_norm_inputs(clients) as seen:
            teachers = ensemble(clients, x)
        parts = {
            "cross_entropy": F.cross_entropy(teachers, targets),
            "batch_norm": statistics_loss(seen),
            "boundary": boundary_loss(student(x)[0], teachers),
        }
        loss = (
            own.cross_entropy * parts["cross_entropy"]
            + own.batch_norm * parts["batch_norm"]
            + own.boundary * parts["boundary"]
        )
        if not loss.isfinite():
            raise UserError(
                f"DENSE: the generator's loss is not finite in turn {address[-1] + 1}; lower "
                "fedlmg.rivals.dense.generator_lr, or look at the clients' training"
            )
        if loss.item() < best:
            best, kept = loss.item(), images.detach()
            losses = {name: part.item() for name, part in parts.items()}
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return (kept * 255).round().to(torch.uint8).cpu(), losses


def _require_alike(uploads: Sequence[Upload], student: nn.Module, shape: tuple[int, ...]) -> None:
    if not uploads:
        raise UserError("DENSE: there is no upload; train the clients' classifiers first")
    first = uploads[0]
    for upload in uploads:
        if (found := (len(upload.mean), upload.edge, upload.edge)) != tuple(shape):
            raise UserError(
                f"DENSE: the upload of client {upload.client} takes images of {found}, not of "
                f"{tuple(shape)}; train the client on this data set"
            )
        if (upload.mean, upload.std) != (first.mean, first.std):
            raise UserError(
                f"DENSE: clients {first.client} and {upload.client} normalise images differently; "
                "train them with the same mean and std"
            )
        if upload.outputs != (outputs := cast(Any, student.head).out_features):
            raise UserError(
                f"DENSE: the upload of client {upload.client} has {upload.outputs} classes, the "
                f"server's model {outputs}; build both for one data set"
            )


def _state(student: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """Student and momentum, the latter by the number of its parameter."""
    arrays = {f"model/{name}": value for name, value in student.state_dict().items()}
    for number, entries in optimiser.state_dict()["state"].items():
        if entries.get("momentum_buffer") is not None:
            arrays[f"momentum/{number}"] = entries["momentum_buffer"]
    return {name: value.cpu().numpy() for name, value in arrays.items()}


def _resumed(
    checkpoint: Checkpoint,
    student: nn.Module,
    optimiser: torch.optim.Optimizer,
    pool: Tensor,
    teachers: Tensor,
    losses: dict[str, list[float]],
    count: int,
) -> int:
    """Fills everything from ``checkpoint``; the number of turns that are done, 0 if a part is lost."""
    if (kept := checkpoint.get("dense-student")) is None:
        return 0
    arrays, facts = kept
    turns = (checkpoint.get(f"dense-turn-{turn}") for turn in range(facts["turns"]))
    batches = [batch for batch in turns if batch is not None]
    if len(batches) < facts["turns"]:
        return 0
    for turn, (batch, found) in enumerate(batches):
        rows = slice(turn * count, (turn + 1) * count)
        pool[rows] = torch.from_numpy(batch["images"])
        teachers[rows] = torch.from_numpy(batch["teachers"])
        for name, value in found.items():
            losses[name].append(value)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}}
    for name, value in arrays.items():
        kind, key = name.split("/", 1)
        parts[kind][key] = torch.from_numpy(value)
    student.load_state_dict(parts["model"])
    momentum = {int(key): {"momentum_buffer": value} for key, value in parts["momentum"].items()}
    optimiser.load_state_dict(
        {"state": momentum, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return facts["turns"]
