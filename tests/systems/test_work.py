"""What jobs do, in images: counted from the same settings that the jobs get."""

import pytest

from fedgenbench.images.programs import AdapterStep, Decoding, DenoisingStep, GuidedStep
from fedgenbench.models.programs import ClassifierStep
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load
from fedgenbench.systems.base import kinds
from fedgenbench.systems.work import work

# Beside training and drawing they look at what was made, or apply what was fitted.
SMALL = {"examined", "aggregate"}


@pytest.fixture(scope="module")
def grid():
    _, scales = load(overrides={"scale": "paper"})
    return Grid(scales["paper"], whole=True)


def parts(grid, key):
    (job,) = [job for job in grid.jobs.values() if job.key == key]
    return {type(each.program): each for each in work(job, grid)}


def test_every_kind_of_job_says_what_it_does(grid):
    silent = {job.kind.name for job in grid.jobs.values() if not work(job, grid)}
    assert silent == SMALL
    assert {job.kind.name for job in grid.jobs.values()} == {*kinds()}


def test_an_adapter_takes_its_steps(grid):
    said = parts(grid, "domainnet/adapter-0/seed0")[AdapterStep]
    assert said.images == 4 * 1000
    assert (said.program.batch, said.program.resolution, said.program.rank) == (4, 512, 4)


def test_images_take_a_step_of_sampling_each_and_are_decoded_once(grid):
    said = parts(grid, "domainnet/images-0/seed0")
    assert said[Decoding].images == 400 * 10
    assert said[DenoisingStep].images == 400 * 10 * 50
    assert said[DenoisingStep].program.passes == 2


def test_guided_images_take_a_gradient_a_step_and_one_an_edit(grid):
    said = parts(grid, "openimage/guided-main/seed0")
    assert said[GuidedStep].images == 6 * 20 * 30 * (10 + 50)
    assert said[GuidedStep].program.checkpointing
    assert DenoisingStep not in said  # the noise is corrected, not asked for again
    assert said[Decoding].images == 6 * 20 * 30
    assert GuidedStep not in parts(grid, "openimage/guided-prompts/seed0")


def test_a_total_is_shared_by_clients(grid):
    few, many = (parts(grid, f"nico_common-{n}/guided-main/seed0") for n in (30, 180))
    assert few[Decoding].images == many[Decoding].images == 180 * 60


def test_a_federation_trains_for_its_rounds_and_is_asked_after_each(grid):
    said = parts(grid, "fashion_mnist-100/fedavg/seed0")[ClassifierStep]
    experiment = grid.settings.experiments["fashion_mnist-100"]
    clients, train, test = grid.settings.sizes_of(experiment)
    assert clients == 100
    assert said.images == pytest.approx(clients * (train * 5 * 200 + test * 201 / 3))
