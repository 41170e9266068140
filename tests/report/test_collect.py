"""Reading jobs and collecting what they measured: no result of another configuration gets in."""

import pandas as pd
import pytest
from measured_jobs import RECORD, address, frames

from fedgenbench.core.answers import packed
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import write_json
from fedgenbench.core.measurements import COLUMNS, Measurement
from fedgenbench.core.reports import save_report
from fedgenbench.report.collect import (
    ADDRESS,
    client_domains,
    collect,
    read_jobs,
    summary,
    with_measured,
    without_measured,
)

DIGEST = "0123456789"
CONTENT = {"digest": DIGEST, "settings": {"rounds": 2, "engine": "sequential"}, "score": 0.5}


def written(folder, digest=DIGEST, **place):
    """A line of a listing, of a job in ``folder``."""
    folder.mkdir(exist_ok=True)
    save_report(folder / "metrics.json", CONTENT, RECORD)
    of = {"kind": "federate", "experiment": "exp", "name": "fedavg", "seed": 0, "client": -1}
    return (*(of | place).values(), digest, str(folder))


def test_a_jobs_address_comes_with_its_metrics_and_its_record(tmp_path):
    ((place, metrics),) = read_jobs([written(tmp_path, seed=2, client=3)])
    assert place == {
        "experiment": "exp",
        "job": "federate",
        "name": "fedavg",
        "seed": 2,
        "client": 3,
    }
    assert metrics["settings"] == CONTENT["settings"]
    assert (metrics["wall_seconds"], metrics["cpu"]) == (60.0, "x86-64 core")


def test_a_job_of_other_code_or_settings_is_refused(tmp_path):
    entry = written(tmp_path / "run", digest="9999999999")
    with pytest.raises(UserError, match=r"made by other code or settings \(digest 0123456789") as e:
        list(read_jobs([entry]))
    assert str(tmp_path / "run") in str(e.value)
    assert "expected 9999999999" in str(e.value)


@pytest.mark.parametrize("old", [b"0.5", b'"rounds": 2'])
def test_altered_metrics_are_refused(tmp_path, old):
    entry = written(tmp_path)
    content = (tmp_path / "metrics.json").read_bytes()
    assert old in content
    (tmp_path / "metrics.json").write_bytes(content.replace(old, old[:-1] + b"7", 1))
    with pytest.raises(UserError, match=r"metrics\.json does not match its checksum"):
        list(read_jobs([entry]))


def test_a_record_of_other_metrics_is_refused(tmp_path):
    entry = written(tmp_path)
    record = (tmp_path / "run.json").read_bytes()
    save_report(tmp_path / "metrics.json", CONTENT | {"score": 0.75}, RECORD)
    (tmp_path / "run.json").write_bytes(record)
    with pytest.raises(UserError, match=r"metrics\.json is not what .*run\.json was written with"):
        list(read_jobs([entry]))


def test_a_record_without_its_facts_is_refused(tmp_path):
    entry = written(tmp_path)
    write_json(tmp_path / "run.json", {})
    with pytest.raises(UserError, match="delete both and run again"):
        list(read_jobs([entry]))


def test_a_missing_job_is_named(tmp_path):
    entry = written(tmp_path)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.json is missing"):
        list(read_jobs([entry]))


def test_a_job_of_the_same_place_is_refused(tmp_path):
    # Two clients' adapters are two jobs, and so are warm starts from two kinds of images.
    entries = [
        written(tmp_path / "a", kind="warm", name="prompts"),
        written(tmp_path / "b", kind="warm", name="adapters"),
        written(tmp_path / "c", kind="adapter", name="0", client=0),
        written(tmp_path / "d", kind="adapter", name="1", client=1),
    ]
    assert len(list(read_jobs(entries))) == 4
    with pytest.raises(UserError, match=r"e is not the only one of its kind, seed and name"):
        list(read_jobs([*entries, written(tmp_path / "e", kind="warm", name="prompts")]))


def test_measurements_have_their_jobs_address_and_their_clients_domain():
    said = {
        "toy": lambda metrics: iter([Measurement("loss", metrics["loss"], "end", 1, 2, 3, 0.5)])
    }
    jobs = [
        (address("toy", "split", "fast", 7), RECORD | CONTENT | {"loss": 1.5}),
        (address("toy", "mixed", "fast", 7), RECORD | CONTENT | {"loss": 2.5}),
        (address("silent", "split", "fast", 7), RECORD | CONTENT),
    ]
    made = collect(jobs, said, {"split": ["ink", "oil"], "mixed": None}, "smoke")
    expected = {"job": "toy", "name": "fast", "seed": 7, "row": "end", "client": 1, "round": 2}
    expected |= {"step": 3, "level": 0.5, "quantity": "loss"}
    rows = made["measurements"].astype({"domain": object})
    assert rows.where(rows.notna(), None).to_dict("records") == [
        expected | {"experiment": "split", "domain": "oil", "value": 1.5},
        expected | {"experiment": "mixed", "domain": None, "value": 2.5},
    ]
    assert list(rows) == list(COLUMNS)
    jobs = made["jobs"]
    assert jobs["job"].tolist() == ["toy", "toy", "silent"]
    assert jobs[["scale", "rounds", "engine"]].values.tolist() == [["smoke", 2, "sequential"]] * 3


def test_what_was_measured_of_the_machine_stands_apart_and_comes_back():
    said = {
        "toy": lambda metrics: iter([Measurement("loss", 1.0), Measurement("wall_seconds", 60.0)])
    }
    jobs = [(address("toy", "exp", name, 0), RECORD | CONTENT) for name in ("one", "two")]
    whole = collect(jobs, said, {}, "smoke")
    parts = without_measured(whole)
    assert set(parts["measurements"]["quantity"]) == {"loss"}
    assert set(parts["measured"]["quantity"]) == {"wall_seconds"}
    measured = {"wall_seconds", "cpu_seconds", "peak_memory_bytes", "started"}
    assert not measured & set(parts["jobs"])
    assert set(parts["measured_jobs"]) == {*ADDRESS, *measured}
    again = with_measured(parts)
    order = ["name", "quantity"]
    pd.testing.assert_frame_equal(
        again["measurements"].sort_values(order, ignore_index=True),
        whole["measurements"].sort_values(order, ignore_index=True),
    )
    pd.testing.assert_frame_equal(again["jobs"], whole["jobs"], check_like=True)


def test_a_grid_without_jobs_has_frames_with_all_columns():
    empty = frames([])
    assert {name: len(frame) for name, frame in empty.items()} == dict.fromkeys(
        ("scores", "rounds", "server", "weights", "newcomers", "synthesis", "fedlmg", "runs"), 0
    )
    assert empty["scores"]["value"].dtype == "float64"
    assert empty["runs"][["seed", "refused"]].dtypes.tolist() == ["int64", "int64"]
    assert empty["runs"]["wall_seconds"].dtype == "float64"
    kept = empty["rounds"][empty["rounds"]["metric"] != "global"]
    assert list(kept) == [
        *("experiment", "method", "seed", "client", "domain", "round", "metric", "value"),
    ]
    parts = without_measured(collect([], {}, {}, "smoke"))
    again = with_measured(parts)
    assert again["measurements"].empty
    assert list(again["measurements"]) == list(COLUMNS)


def test_clients_have_domains_where_a_scheme_deals_by_them():
    card = {"domains": ["a", "b"]}
    assert client_domains({"scheme": "domain"}, card) == ["a", "b"]
    shards = {"scheme": "domain_shards", "clients_per_domain": 2}
    assert client_domains(shards, card) == ["a", "a", "b", "b"]
    assert client_domains({"scheme": "fedpac"}, card) is None


def test_a_domain_that_is_left_out_has_no_client():
    card = {"domains": ["ink", "oil", "wax"]}
    assert client_domains({"scheme": "domain"}, card, 1) == ["ink", "wax"]
    assert client_domains({"scheme": "domain"}, card, 0) == ["oil", "wax"]
    assert client_domains({"scheme": "domain"}, card) == ["ink", "oil", "wax"]


def test_the_summary_holds_means_over_clients_and_seeds():
    server = {"settings": {}, "rows": {"fedlmg_ft": {"accuracy": [0.25, 0.75], "images": 12}}}
    better = {"settings": {}, "rows": {"fedlmg_ft": {"accuracy": [0.5, 1.0], "images": 12}}}
    made = RECORD | {"digest": DIGEST}
    fedlmg = frames(
        [
            (address("server", "exp", "main", 0), made | server),
            (address("server", "exp", "main", 1), made | better),
            (address("server", "exp", "no_editing", 0), made | server),
        ]
    )["fedlmg"]
    key = {"experiment": "grid", "method": "fedavg", "seed": 0, "metric": "global", "client": -1}
    # Accuracy before local training is in the tables, but none of what two runs are compared by.
    scores = pd.DataFrame([key | {"value": 0.5}, key | {"metric": "start", "value": 0.2}])
    metrics, curves = summary(scores, scores.assign(round=1), fedlmg)
    assert metrics == {
        "grid": {"fedavg": {"global": 0.5}},
        "exp": {"fedlmg_ft": {"global": 0.625}, "no_editing/fedlmg_ft": {"global": 0.5}},
    }
    assert curves.empty  # no personal accuracy


def test_answers_stand_in_a_row_per_model():
    said = {"rows": {"global": packed([[True, False], [True]])}, "images": [2, 1], "sha256": "a"}
    jobs = [(address("federate", "exp", "fedavg", 3), CONTENT | RECORD | {"answers": said})]
    jobs += [(address("adapter", "exp", "tune", 3), CONTENT | RECORD)]
    (row,) = collect(jobs, {}, {}, "smoke")["answers"].to_dict("records")
    assert row == address("federate", "exp", "fedavg", 3) | {
        "model": "global",
        "sha256": "a",
        "images": [2, 1],
        "answers": bytes([0b10100000]),
    }
