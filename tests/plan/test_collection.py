import pytest

from fedgenbench.plan.collection import collection
from fedgenbench.plan.grid import Grid


@pytest.fixture
def whole(load_raw, raw):
    scale, settings = load_raw(raw)
    return Grid(settings[scale], settings["paper"])


def test_of_all_jobs_it_is_of_the_whole_grid(whole):
    of_all = collection(whole, whole.jobs.values())
    assert of_all == collection(whole) | {key: of_all[key] for key in ("experiments", "cards")}
    assert of_all["jobs"] == whole.listing()
    assert of_all["pictures"] == whole.pictures()


def test_of_one_job_it_has_what_that_one_shows(whole):
    job = next(job for job in whole.jobs.values() if job.kind.pictures)
    asked = collection(whole, [job])
    assert [entry[-1] for entry in asked["jobs"]] == [job.folder]
    assert {entry[-1] for entry in asked["pictures"]} == {
        job.file(name) for name in job.kind.pictures
    }
    assert list(asked["experiments"]) == [job.experiment]
    dataset = whole.settings.experiments[job.experiment].dataset
    assert asked["cards"] == {dataset: f"{whole.prepared[dataset].folder}/card.json"}
