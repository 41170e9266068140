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
