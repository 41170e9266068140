"""What generators of weights, and clients that join later, say, as rows."""

import pytest
from measured_jobs import RECORD, address, frames

MADE = RECORD | {"digest": "0123456789", "settings": {}}


def fit():
    losses = dict.fromkeys(("loss", "held_out_loss", "seen_loss", "held_out_error"), 0.25)
    parts = {name: {"train": [0.5], "test": [0.1, 0.3]} for name in ("uploads", "reconstructed")}
    unseen = {"held_out_loss": 0.75, "seen_loss": 0.5, "held_out_error": 0.125}
    return MADE | losses | parts | {"by_uploads": [{"uploads": 2, **unseen}]}


def aggregate():
    own = {"rule": "own", "eta": None, "start": None, "trained": [0.1, 0.2]}
    row = {"rule": "ddim", "eta": 1.0, "start": 300, "trained": [0.5, 0.7]}
    return MADE | {"rows": [own, row | {"group_kept": [True, False]}]}


def newcomers():
    guided = {"arm": "guided", "steps": 5, "omega": 1.0, "round": 2, "stage": "trained"}
    local = guided | {"arm": "local", "steps": None, "omega": None}
    rows = [
        arm | {"client": client, "value": value}
        for arm in (guided, local)
        for client, value in ((8, 0.2), (9, 0.6))
    ]
    return MADE | {"rows": rows}


def test_studies_become_tidy_rows():
    made = frames(
        [
            (address("aggregate", "exp", "linear", 3), aggregate()),
            (address("fit", "exp", "conv", 3), fit()),
            (address("newcomers", "exp", "all", 3), newcomers()),
        ]
    )
    weights, joined = made["weights"], made["newcomers"]
    assert set(weights["experiment"]) == {"exp"}
    assert set(weights["seed"]) == {3}
    trained = weights[weights["metric"] == "trained"]
    assert trained[["fit", "rule", "client", "value"]].values.tolist() == [
        *(["linear", "own", 0, 0.1], ["linear", "own", 1, 0.2]),
        *(["linear", "ddim", 0, 0.5], ["linear", "ddim", 1, 0.7]),
    ]
    assert trained["eta"].isna().tolist() == [True, True, False, False]
    assert trained["start"].isna().tolist() == [True, True, False, False]
    assert trained[["eta", "start"]].values.tolist()[2:] == [[1.0, 300.0]] * 2
    assert weights[weights["metric"] == "group_kept"]["value"].tolist() == [1.0, 0.0]
    fitted = weights[weights["rule"] == "fit"].set_index("metric")
    assert set(fitted["fit"]) == {"conv"}
    assert set(fitted["client"]) == {-1}
    assert fitted[["eta", "start"]].isna().all(axis=None)
    assert fitted["value"].to_dict() == pytest.approx(
        dict.fromkeys(("loss", "held_out_loss", "seen_loss", "held_out_error"), 0.25)
        | {"reconstruction_train": 0.5, "reconstruction_test": 0.2}
        | {"upload_train": 0.5, "upload_test": 0.2}
    )
    few = weights[weights["rule"] == "density"]
    assert set(few["start"]) == {2.0}
    assert dict(zip(few["metric"], few["value"], strict=True)) == {
        **{"held_out_loss": 0.75, "seen_loss": 0.5, "held_out_error": 0.125}
    }
    means = joined[joined["client"] == -1].set_index("arm")
    assert means["value"].to_dict() == pytest.approx({"guided": 0.4, "local": 0.4})
    assert means["omega"].isna().to_dict() == {"guided": False, "local": True}
    assert means["steps"].isna().to_dict() == {"guided": False, "local": True}
    assert means["round"].tolist() == [2, 2]
    assert len(joined) == 6
