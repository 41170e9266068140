"""The jobs of one table, by its name."""

from pathlib import Path

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load
from fedgenbench.plan.tables import jobs_of_table


@pytest.fixture(scope="module")
def grid():
    scale, settings = load()
    return Grid(settings[scale], settings["paper"])


def experiments(grid, table):
    return {job.experiment for job in jobs_of_table(grid, table)}


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        ("fedlmg_emoji_domains-oneshot", {"emoji_domains-oneshot"}),
        ("emoji_domains_global", {"emoji_domains"}),
        ("pfedgpa_main", {"fashion_mnist-10", "cifar10-10"}),
    ],
)
def test_a_table_takes_the_experiments_of_its_name_or_of_its_paper(grid, table, shown):
    found = experiments(grid, table)
    assert found == shown if table != "pfedgpa_main" else shown <= found
    assert "emoji_domains" in experiments(grid, "warmfed_global")
    assert not {"fashion_mnist-10", "emoji_domains-oneshot"} & experiments(grid, "warmfed_global")


def test_all_jobs_of_an_experiment_are_there(grid):
    of_it = [job for job in grid.jobs.values() if job.experiment == "emoji_domains-oneshot"]
    assert jobs_of_table(grid, "fedlmg_emoji_domains-oneshot") == of_it


def test_a_table_that_nobody_knows_is_refused_with_its_like(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert jobs_of_table(grid, "mine")  # nothing is recorded, so it may be there
    Path("results/embedded/tables").mkdir(parents=True)
    for name in ("personalised", "measured_cost"):
        Path(f"results/embedded/tables/{name}.csv").touch()
    with pytest.raises(UserError, match="'personalisd' is not known; did you mean 'personalised'"):
        jobs_of_table(grid, "personalisd")
    assert jobs_of_table(grid, "cost") == jobs_of_table(grid, "personalised")
