"""What a job's kind, place and digest make of its paths."""

from fedgenbench.plan.jobs import Job, Partitioned, Prepared
from fedgenbench.systems.base import JobKind

DATA = Prepared("toy", {}, [], "aaaaaaaaaa")
ADAPTER = JobKind("adapter", "a:run", {"adapter": "adapter.safetensors"})
IMAGES = JobKind(
    "images", "b:run", {"images": "images.safetensors"}, {"adapter": "adapter"}, partition=False
)
RUN = JobKind("federate", "c:run", inputs={"images": "images", "sent": "metrics"}, plain=True)


def job(kind, name, **other):
    return Job(kind, "few", name, 3, DATA, None, {}, [], "0123456789", **other)


def test_paths_follow_from_kind_place_and_digest():
    assert DATA.folder == "data/prepared/toy-aaaaaaaaaa"
    part = Partitioned("few", DATA, {}, 3, "bbbbbbbbbb")
    assert part.path == "data/partitions/few/seed3-bbbbbbbbbb.json"
    adapter, run = job(ADAPTER, "2", client=2), job(RUN, "fedavg")
    assert (adapter.row, adapter.key) == ("adapter-2", "few/adapter-2/seed3")
    assert adapter.folder == "results/runs/few/adapter-2/seed3-0123456789"
    assert adapter.file("adapter") == f"{adapter.folder}/adapter.safetensors"
    assert run.metrics == "results/runs/few/fedavg/seed3-0123456789/metrics.json"
    assert run.file("run") == f"{run.folder}/run.json"
    assert (adapter.client, run.client) == (2, -1)


def test_inputs_are_the_outputs_that_the_kind_takes_in_order():
    adapters = tuple(job(ADAPTER, name) for name in "02")
    images = tuple(job(IMAGES, each.name, inputs={"adapter": (each,)}) for each in adapters)
    run = job(RUN, "warmfed", inputs={"images": images, "sent": adapters})
    assert run.input_files("images") == [
        f"results/runs/few/images-{name}/seed3-0123456789/images.safetensors" for name in "02"
    ]
    assert run.input_files("sent") == [each.metrics for each in adapters]
    assert list(run.before()) == [*images, *adapters]
    # What no job is given for is no file.
    assert job(RUN, "fedavg").input_files("images") == []
    assert list(job(RUN, "fedavg").before()) == []
