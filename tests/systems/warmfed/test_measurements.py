"""What adapters, synthetic images, warm starts and the look at them say, as rows."""

import pytest
from measured_jobs import RECORD, address, frames

MADE = RECORD | {"digest": "0123456789", "settings": {}}
ADAPTER = MADE | {
    "client": 4,
    "wall_seconds": 30.0,
    "images": 115,
    "classes": [0, 3, 4],
    "parameters": 43008,
    "adapter_bytes": 86016,
    "embedding_bytes": 30720,
    # 20 losses: a tenth is two of them.
    "history": [{"step": step, "loss": 1.0 / step} for step in range(1, 21)],
}
WARM = MADE | {
    "images": 400,
    "wall_seconds": 12.0,
    "losses": [2.0, 1.0, 0.5],
}
EXAMINED = MADE | {
    "rows": [
        {"kind": "duplication", "client": 1, "name": "copied_any", "value": 0.05},
        {"kind": "likeness", "client": -1, "name": "classifier", "value": 0.9},
    ],
}


def values(content, kind, name="all", client=-1):
    frame = frames([(address(kind, "exp", name, 2, client), content)])["synthesis"]
    assert list(frame) == ["experiment", "seed", "kind", "client", "name", "value"]
    assert frame[["experiment", "seed"]].drop_duplicates().values.tolist() == [["exp", 2]]
    return {(r.kind, r.client, r.name): r.value for r in frame.itertuples()}


def test_an_adapters_report_becomes_rows():
    assert values(ADAPTER, "adapter", "4", 4) == pytest.approx(
        {
            ("adapter", 4, "images"): 115,
            ("adapter", 4, "classes"): 3,
            ("adapter", 4, "parameters"): 43008,
            ("adapter", 4, "adapter_bytes"): 86016,
            ("adapter", 4, "embedding_bytes"): 30720,
            ("adapter", 4, "wall_seconds"): 30.0,
            ("adapter", 4, "first_loss"): (1 + 1 / 2) / 2,
            ("adapter", 4, "last_loss"): (1 / 19 + 1 / 20) / 2,
        }
    )


@pytest.mark.parametrize(("kind", "client"), [("images", 3), ("prompts", -1)])
def test_drawn_images_become_rows(kind, client):
    content = MADE | {"images": 200, "seconds_per_image": 0.2, "wall_seconds": 41.0}
    content |= {} if client < 0 else {"client": client}
    assert values(content, kind, client=client) == {
        (kind, client, "images"): 200,
        (kind, client, "seconds_per_image"): 0.2,
        (kind, client, "wall_seconds"): 41.0,
    }


def test_a_warm_start_is_named_by_its_images():
    assert values(WARM, "warm", "prompts") == {
        ("warm_prompts", -1, "images"): 400,
        ("warm_prompts", -1, "wall_seconds"): 12.0,
        ("warm_prompts", -1, "first_loss"): 2.0,  # three losses: a tenth is one of them
        ("warm_prompts", -1, "last_loss"): 0.5,
    }


def test_what_was_examined_is_kept_as_it_is():
    assert values(EXAMINED, "examined") == {
        ("duplication", 1, "copied_any"): 0.05,
        ("likeness", -1, "classifier"): 0.9,
    }


def test_trials_become_rows_of_their_names():
    content = MADE | {
        "client": 3,
        "wall_seconds": 9.0,
        "rows": {"rank_2": {"auc": 0.5}, "base": {"copied": 0}},
    }
    assert values(content, "trials", "adapters") == {
        ("rank_2", 3, "auc"): 0.5,
        ("base", 3, "copied"): 0.0,
    }
