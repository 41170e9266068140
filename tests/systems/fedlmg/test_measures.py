"""The kind of test that FedLMG's claims need, judged on made-up reports."""

from dataclasses import replace

import pytest
import synthetic_fedlmg
from stated_claims import above, claim, of

from fedgenbench.core.errors import UserError
from fedgenbench.report.verdicts import judge
from fedgenbench.systems.claims import stated
from fedgenbench.systems.fedlmg import measures

WHERE = {"methods": ["fedlmg_ft", "fedlmg_sd"], "setting": "feature skew", "datasets": None}
ACCURACY = above("accuracy", baselines=["fedavg"], **WHERE)
PART = above("worth_of_a_part_of_guidance", ablation="no_editing", **WHERE)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return synthetic_fedlmg.results(tmp_path_factory.mktemp("fedlmg"))


@pytest.fixture
def judged(tmp_path, grid):
    def verdict(test, results=grid, scale="embedded"):
        return judge([claim(tmp_path, measures, test, scale=scale)], results)[0]

    return verdict


def test_each_method_has_to_lead_each_baseline(judged):
    shown = judged(ACCURACY)
    assert shown.verdict == "supported"
    assert "FedLMG, fine-tuning − FedAvg (EmojiDomains, one shot) = 22.0 ± 0.5" in shown.evidence
    assert "2 of 2 intervals lie above" in shown.evidence
    assert "Not run here: OpenImage." in shown.evidence
    # FT is 18 points below the ceiling, SD 14.
    below = judged(of(ACCURACY, **{"baselines": ["ceiling"]}))
    assert below.verdict == "contradicted"
    assert "FedLMG, fine-tuning − Ceiling" in below.evidence


@pytest.mark.parametrize(
    ("margin", "verdict"), [(21.4, "supported"), (21.9, "undecided"), (23.0, "contradicted")]
)
def test_the_margin_is_compared_with_the_ends_of_the_interval(judged, margin, verdict):
    # FT leads by 22.0 ± 0.497 points; the corrected interval of two comparisons is ± 0.72.
    assert judged(ACCURACY | {"bound": margin}).verdict == verdict


def test_an_ablation_is_compared_within_the_seed(judged):
    shown = judged(PART)
    assert shown.verdict == "supported"
    assert "− the same without editing of the noise (EmojiDomains, one shot) = 1.0 ± 0.5" in (
        shown.evidence
    )
    missing = judged(of(PART, ablation="lambda_1"))
    assert missing.verdict == "not testable here"
    assert "Missing: the ablation lambda_1 on EmojiDomains, one shot." in missing.evidence


def test_settings_data_sets_and_rows_that_were_not_run_are_named(judged, grid):
    mixed = judged(of(ACCURACY, **{"setting": "different architectures"}))
    assert mixed.verdict == "not testable here"
    assert "FedLMG, fine-tuning or FedAvg on EmojiDomains, two architectures" in mixed.evidence
    both = judged(of(ACCURACY, **{"datasets": ["EmojiDomains", "OpenImage"]}))
    assert both.verdict == "undecided"
    assert "Missing: feature skew on OpenImage." in both.evidence
    assert "Not run here" not in both.evidence
    alone = {k: v for k, v in grid.experiments.items() if k != synthetic_fedlmg.EMOJI}
    nothing = grid.fedlmg[grid.fedlmg["experiment"] != synthetic_fedlmg.EMOJI]
    without = judged(ACCURACY, replace(grid, experiments=alone, fedlmg=nothing))
    assert (without.verdict, "Missing: feature skew." in without.evidence) == (
        "not testable here",
        True,
    )


def test_two_seeds_decide_nothing(judged, tmp_path):
    shown = judged(ACCURACY, synthetic_fedlmg.results(tmp_path / "reports", seeds=2))
    assert shown.verdict == "undecided"
    assert "2 of 2 comparisons have fewer than 3 common seeds" in shown.evidence


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"against": "no_editing"}, "test.of.against: Extra inputs"),
        ({"baselines": []}, "test.of.baselines: .*at least 1 item"),
        ({"baselines": ["fedavgg"]}, r"test.of.baselines.0: .*'ceiling_head', 'ceiling'"),
        ({"baselines": ["fedlmg_ft"]}, "name fedlmg_ft twice"),
        ({"setting": "skew"}, "test.of.setting: .*'feature skew'"),
        ({"methods": []}, "test.of.methods: .*at least 1 item"),
    ],
)
def test_faults_name_the_key(judged, change, match):
    with pytest.raises(UserError, match=match):
        judged(of(ACCURACY, **change))


def test_the_papers_claims_are_judged_on_these_reports(grid):
    claims = stated()["fedlmg"]
    assert [each.entry.id for each in claims] == [f"fedlmg-{n}" for n in range(1, 9)]
    verdicts = {claim.id: claim.verdict for claim in judge(claims, grid)}
    expected = dict.fromkeys(verdicts, "supported")
    expected |= dict.fromkeys(("fedlmg-5", "fedlmg-8"), "not testable here")
    assert verdicts == expected


def test_what_a_paper_scale_claim_finds_there(tmp_path):
    grid = synthetic_fedlmg.results(tmp_path, dataset="OpenImage")
    paper = replace(grid, runs=grid.runs.assign(scale="paper"))
    judged = {each.id: each for each in judge(stated()["fedlmg"], paper)}
    assert judged["fedlmg-8"].verdict == "contradicted"  # 14 points below the ceiling
    assert judged["fedlmg-5"].verdict == "undecided"  # ahead, but both NICO++ are missing
    assert "feature skew on Unique NICO++" in judged["fedlmg-5"].evidence
