"""Which jobs a click on a number of FedLMG's tables opens."""

import pytest
import synthetic_fedlmg

from fedgenbench.systems.fedlmg.tables import tables

EMOJI = synthetic_fedlmg.EMOJI


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return synthetic_fedlmg.results(tmp_path_factory.mktemp("jobs"), seeds=1)


@pytest.fixture(scope="module")
def made(grid):
    return {table.id: table for table in tables(grid)}


@pytest.mark.parametrize(
    ("row", "jobs"),
    [
        ("fedlmg_sd", ("server-main",)),
        ("prompts", ("server-main",)),
        ("fgl", ("server-main",)),
        ("dense", ("dense-main",)),
        ("feddyn", ("rounds-all",)),
        ("own", ("classifiers-all",)),
    ],
)
def test_a_method_is_of_the_job_that_scored_it(made, row, jobs):
    (of_row,) = (each for each in made[f"fedlmg_{EMOJI}"].rows if each.id == row)
    assert (of_row.experiment, of_row.jobs) == (EMOJI, jobs)


def test_a_variation_is_of_its_own_job_and_the_one_that_it_is_compared_with(made):
    rows = {row.id: row.jobs for row in made["fedlmg_ablations"].rows if row.experiment == EMOJI}
    assert rows["no_editing"] == ("server-no_editing", "server-main")
    assert rows["main"] == ("server-main",)


def test_every_number_of_seeds_opens_a_job_that_ran(grid, made):
    frame = grid.fedlmg
    ran = {
        (experiment, f"{kind}-{name or 'all'}")
        for experiment, kind, name in frame[["experiment", "kind", "name"]].itertuples(index=False)
    }
    opened = 0
    for table in made.values():
        for row in table.rows:
            if any(cell.seeds for cell in row.cells) and row.id != "random_guess":
                assert row.jobs, (table.id, row.id)
                assert any((row.experiment, job) in ran for job in row.jobs), (table.id, row.id)
                opened += 1
    assert opened > 20
