"""Recorded results: what is refused, and how others stand beside them. The way through a clone is
tests/workflow/test_records.py."""

import pandas as pd
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, write_json
from fedgenbench.report.collect import ADDRESS, ANSWERS, RECORD_OF_JOBS
from fedgenbench.systems.collected import FRAMES
from fedgenbench.systems.records import (
    changed,
    joined,
    read_records,
    require_grid,
    require_seeds,
    write_records,
)


def collection(name="fedavg", seeds=(0, 1), sha256="a" * 64, experiment="exp"):
    """A frame of jobs, nothing else, and a context without pictures."""
    rows = [
        dict.fromkeys(RECORD_OF_JOBS, 0)
        | {"experiment": experiment, "job": "federate", "name": name, "seed": seed, "client": -1}
        | {"digest": "0123456789", "metrics_sha256": sha256}
        for seed in seeds
    ]
    frames = {each: pd.DataFrame({"experiment": pd.Series(dtype=object)}) for each in FRAMES}
    frames["jobs"] = pd.DataFrame(rows)
    frames["answers"] = pd.DataFrame(columns=list(ANSWERS))
    entry = {"dataset": "D", "clients": 3, "partition": "p", "rounds": 2, "local": "l"}
    context = {
        "experiments": {experiment: entry | {"model": "mlp", "role": "main"}},
        "methods": {name: {"label": name}},
        "absent": {},
        "pictures": [],
        "expected": [[experiment, name, seed, "0123456789"] for seed in seeds],
        "hidden": [],
        "order": {"experiments": [experiment], "methods": [name], "absent": []},
    }
    return frames, context


def recorded(folder, **changes):
    write_records(folder, *collection(**changes), {"d": {"title": "D"}}, [])
    return read_records(folder)


def test_records_come_back_with_their_seeds_and_cards(tmp_path):
    frames, context = recorded(tmp_path / "records")
    assert frames["jobs"]["seed"].tolist() == [0, 1]
    assert context["seeds"] == [0, 1]
    assert context["cards"] == {"d": {"title": "D"}}


def test_nothing_and_another_schema_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match="has no recorded results: `make record` writes them"):
        read_records(tmp_path)
    recorded(tmp_path / "records")
    path = tmp_path / "records/context.json"
    write_json(path, read_json(path) | {"schema": "other"})
    with pytest.raises(UserError, match=r"another schema \(digest other, here \w+\)"):
        read_records(tmp_path / "records")
    # They can be replaced, by no fewer seeds.
    with pytest.raises(UserError, match="drops 1 recorded seed, 1"):
        recorded(tmp_path / "records", seeds=(0,))
    assert recorded(tmp_path / "records", sha256="b" * 64)[1]["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"seeds": (0,)}, "drops 1 recorded seed, 1"),
        ({"sha256": "b" * 64}, "other bytes of jobs .*\n  exp, federate fedavg, seed 0\n"),
    ],
)
def test_recording_anew_drops_no_seed_and_no_other_bytes(tmp_path, changes, match):
    recorded(tmp_path / "records")
    before = (tmp_path / "records/jobs.parquet").read_bytes()
    with pytest.raises(UserError, match=match):
        recorded(tmp_path / "records", **changes)
    assert (tmp_path / "records/jobs.parquet").read_bytes() == before


def test_more_seeds_and_the_same_bytes_are_recorded(tmp_path):
    recorded(tmp_path / "records")
    assert recorded(tmp_path / "records", seeds=(0, 1, 2))[1]["seeds"] == [0, 1, 2]


def test_what_is_too_large_for_git_is_refused(tmp_path, monkeypatch):
    recorded(tmp_path / "records")
    monkeypatch.setattr("fedgenbench.systems.records.MOST_BYTES", 1000)
    with pytest.raises(UserError, match="MB, and Git is to hold 0: record fewer"):
        recorded(tmp_path / "records", seeds=(0, 1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["records"]
    assert read_records(tmp_path / "records")[1]["seeds"] == [0, 1]


def test_another_grid_is_refused_by_experiment_and_key():
    _, context = collection()
    own = context["experiments"]["exp"]
    require_grid(context, {"exp": own, "mine": {}})
    require_grid(context, {"exp": {}})  # its data set is absent here
    with pytest.raises(UserError, match="recorded experiment exp is not in params"):
        require_grid(context, {"mine": own})
    with pytest.raises(UserError, match="its rounds is 9, recorded 2"):
        require_grid(context, {"exp": own | {"rounds": 9}})


def test_seeds_may_be_added():
    require_seeds({"seeds": [0, 1]}, [0, 1, 2])
    with pytest.raises(UserError, match="seeds: 1, 2 drops 1 recorded seed, 0"):
        require_seeds({"seeds": [0, 1]}, [1, 2])


def test_only_jobs_of_equal_address_and_digest_are_changed():
    jobs = collection()[0]["jobs"]
    assert changed(jobs, jobs) == []
    other = jobs.assign(metrics_sha256="b" * 64)
    assert changed(jobs, other) == ["exp, federate fedavg, seed 0", "exp, federate fedavg, seed 1"]
    assert changed(jobs, other.assign(digest="9876543210")) == []
    assert list(ADDRESS) == ["experiment", "job", "name", "seed", "client"]


def test_others_stand_after_what_is_recorded():
    first, more = collection(), collection(name="mine", seeds=(0,), experiment="own")
    for context in (first[1], more[1]):
        context["cards"] = {}
    frames, context = joined(first, more)
    assert frames["jobs"]["name"].tolist() == ["fedavg", "fedavg", "mine"]
    assert context["order"]["experiments"] == ["exp", "own"]
    assert context["order"]["methods"] == ["fedavg", "mine"]
    assert len(context["expected"]) == 3
