"""What a grid will cost on GPUs, counted on the shapes of tensors: no card and no weights are needed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from fedgenbench.core.errors import UserError
from fedgenbench.core.tracing import Program, Work, cost, largest_batch
from fedgenbench.plan.selection import papers, papers_of

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job

DEVICES = (1, 4, 32, 256)
GIB = 2**30
SMALL = GIB / 4  # what is below needs no look at memory


def forecast(grid: Grid, tflops: float, memory: float) -> str:
    """The long programs of a grid beside a GPU's ``memory`` in GiB, and hours at ``tflops`` 10¹²
    operations a second on one, four, … such GPUs, as lines of text. What is finished counts, too."""
    from fedgenbench.systems.work import work

    said = {key: work(job, grid) for key, job in grid.jobs.items()}
    unknown = sorted(
        {reason for parts in said.values() for each in parts if (reason := _fault(each))}
    )
    known = {key: [each for each in parts if not _fault(each)] for key, parts in said.items()}
    flops = {key: sum(each.flops for each in parts) for key, parts in known.items()}
    programs = {each.program: None for parts in known.values() for each in parts}
    lines = [
        f"FedGenBench, scale {grid.settings.scale}, on GPUs of {memory:g} GiB and {tflops:g} TFLOP/s.",
        "Counted on shapes, not run: lower bounds, for a card's driver and allocator come on top, and",
        "small networks do not reach its rate.",
        "",
        _programs(programs, memory),
        "",
        _hours(grid, {key: each / (tflops * 1e12) / 3600 for key, each in flops.items()}, flops),
        "",
        _images(known.values()),
    ]
    return "\n".join([*lines, *unknown])


def _fault(each: Work) -> str:
    """Why a part cannot be counted, or nothing."""
    try:
        cost(each.program)
    except UserError as error:
        return str(error)
    return ""


def _programs(programs: Iterable[Program], memory: float) -> str:
    rows, small = [], 0
    for program in sorted(programs, key=lambda each: -cost(each).peak):
        step = cost(program)
        if step.peak < SMALL:
            small += 1
            continue
        fits = step.peak <= memory * GIB
        most = largest_batch(program, int(memory * GIB))
        rows.append(
            [
                program.title,
                program.batch,
                step.flops / 1e12,
                step.weights / GIB,
                step.peak / GIB,
                "yes" if fits else "no",
                most or "not one",
            ]
        )
    columns = ["a step of", "batch", "TFLOP", "weights GiB", "peak GiB", "fits", "largest batch"]
    table = tabulate(rows, headers=columns, floatfmt=".2f")
    return f"{table}\nand {small} programs that take less than {SMALL / GIB:g} GiB."


def _hours(grid: Grid, hours: Mapping[str, float], flops: Mapping[str, float]) -> str:
    """A row an experiment, which is what a table shows; a row a paper; and the whole grid."""
    experiments = grid.settings.experiments
    by_experiment: dict[str, list[Job]] = {}
    for job in grid.jobs.values():
        base, *_ = grid.left_out.get(job.experiment, (job.experiment,))
        by_experiment.setdefault(base, []).append(job)
    groups: dict[str, list[Job]] = dict(by_experiment)
    for paper in papers():
        names = [name for name, each in experiments.items() if paper in papers_of(each)]
        if jobs := [job for name in names for job in by_experiment.get(name, [])]:
            groups[f"all of {paper}"] = jobs
    groups["all"] = list(grid.jobs.values())
    rows: list[list[Any]] = []
    for name, jobs in groups.items():
        part = {job.folder: hours[job.folder] for job in jobs}
        before = {job.folder: [b.folder for b in job.before() if b.folder in part] for job in jobs}
        row = [name, len(part), sum(flops[key] for key in part) / 1e15, sum(part.values())]
        rows.append([*row, *(makespan(part, before, devices) for devices in DEVICES)])
    columns = ["experiment", "jobs", "PFLOP", "GPU hours", *(f"hours on {n}" for n in DEVICES)]
    return tabulate(rows, headers=columns, floatfmt=".1f")


def makespan(hours: Mapping[str, float], before: Mapping[str, list[str]], devices: int) -> float:
    """Time until all jobs are done, one to a device, a job after those ``before`` it; of those that
    can start, the one with the longest way ahead of it does."""
    after: dict[str, list[str]] = {job: [] for job in hours}
    for job, needed in before.items():
        for each in needed:
            after[each].append(job)
    ahead: dict[str, float] = {}
    waiting = {job: len(needed) for job, needed in before.items()}
    for job in reversed(_in_order(after, waiting)):
        ahead[job] = hours[job] + max((ahead[each] for each in after[job]), default=0.0)
    ready = [(-ahead[job], job) for job, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            _, job = heapq.heappop(ready)
            heapq.heappush(running, (now + hours[job], job))
        now, done = heapq.heappop(running)
        for job in after[done]:
            waiting[job] -= 1
            if not waiting[job]:
                heapq.heappush(ready, (-ahead[job], job))
    return now


def _in_order(after: Mapping[str, list[str]], waiting: Mapping[str, int]) -> list[str]:
    """Jobs, each after those that it builds on."""
    left, order = dict(waiting), [job for job, count in waiting.items() if not count]
    for job in order:  # grows on the way
        for each in after[job]:
            left[each] -= 1
            if not left[each]:
                order.append(each)
    return order


def _images(parts: Iterable[list[Work]]) -> str:
    """What synthetic images take on a disk, as they are kept, and the models that draw them."""
    from fedgenbench.images.folder import means_folder
    from fedgenbench.images.programs import Decoding

    works = [work for each in parts for work in each]
    drawn = [(w.program, w.images) for w in works if isinstance(w.program, Decoding)]
    stored = sum(3 * images * program.resolution**2 for program, images in drawn)
    models = {
        program.source: cost(program).weights
        for program, _ in drawn
        if not means_folder(program.source)
    }
    text = f"Synthetic images on the disk: {stored / 1e9:.1f} GB."
    if models:
        text += (
            f" From the network, once: {', '.join(models)}, of which U-Net and autoencoder take "
            f"{sum(models.values()) / 1e9:.1f} GB."
        )
    return text
