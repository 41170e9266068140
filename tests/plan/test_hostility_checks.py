"""What rules of aggregation and poisoned clients ask of an experiment."""

import pytest

FIRST = "fashion_mnist-10"
TRIM = {"rule": "trimmed_mean", "trim": 0.05}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aggregation": {"rule": "median"}}, "aggregation: pfedhn averages no uploads"),
        ({"poisoned": {"share": 0.2, "factor": -1.0}}, "poisoned: local averages no uploads"),
        (
            {"poisoned": {"share": 0.04, "factor": -1.0}, "methods": ["fedavg"]},
            "poisoned.share: 0.04 of 10 clients is none",
        ),
        (
            {"aggregation": TRIM, "methods": ["fedavg"]},
            "trim: 0.05 of 10 clients is none: raise it",
        ),
        ({"aggregation": {"rule": "krum"}}, "aggregation"),
        ({"aggregation": {"rule": "trimmed_mean", "trim": 0.5}}, "trim"),
        ({"aggregation": {"rule": "clipped_mean", "bound": 0.0}}, "bound"),
        ({"aggregation": {"rule": "median", "trim": 0.1}}, "unknown key"),
    ],
)
def test_what_an_experiment_cannot_bear_is_told(alone, refusal, changes, words):
    raw = alone(FIRST)
    raw["experiments"][FIRST] |= {"ablations": [], "pfedgpa": None} | changes
    message = refusal(raw)
    assert f"experiments.{FIRST}" in message
    assert words in message


def test_a_variant_s_rule_is_checked_where_it_is_played(alone, refusal):
    raw = alone(FIRST)
    raw["variants"]["fedavg_trimmed"]["aggregation"] = TRIM
    raw["experiments"][FIRST] |= {"ablations": ["fedavg_trimmed"], "pfedgpa": None}
    assert "fedavg_trimmed: aggregation.trim: 0.05 of 10 clients" in refusal(raw)


PRIVACY = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "delta": 1e-3}


@pytest.mark.parametrize(
    ("privacy", "changes", "words"),
    [
        ({}, {"model": "bn_cnn"}, "bn_cnn has batch norm"),
        ({}, {"methods": ["fedavg", "moon"]}, "moon: privacy: it sends more than private steps"),
        ({"delta": 0.002}, {}, "privacy.delta: 0.002 lets a client of 600 images give one away"),
        ({"noise_multiplier": 0.0}, {}, "noise_multiplier"),
        ({"epsilon": 1.0}, {}, "unknown key"),
    ],
)
def test_privacy_that_would_not_hold_is_refused(alone, refusal, privacy, changes, words):
    raw = alone("fashion_mnist-10")
    chosen = raw["experiments"]["fashion_mnist-10"]
    chosen |= {"methods": ["fedavg"], "ablations": [], "pfedgpa": None} | changes
    chosen["local"] = chosen["local"] | {"privacy": PRIVACY | privacy}
    assert words in refusal(raw)


def test_privacy_without_fault_is_taken(alone, load_raw):
    raw = alone("fashion_mnist-10")
    chosen = raw["experiments"]["fashion_mnist-10"]
    chosen |= {"methods": ["fedavg", "scaffold"], "ablations": [], "pfedgpa": None}
    chosen["local"] = chosen["local"] | {"privacy": PRIVACY}
    _, scales = load_raw(raw)
    assert scales["embedded"].experiments["fashion_mnist-10"].local.privacy.delta == 1e-3
