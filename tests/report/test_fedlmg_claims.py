"""The kind of test that FedLMG's claims need, judged on made-up reports."""

from dataclasses import replace

import pytest
import synthetic_fedlmg
import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.report.claims import Evidence, judge, load_claims
from fedgenbench.systems.base import files

CLAIMS = files("claims.yaml")["fedlmg"]
SERVED = {
    "kind": "served",
    "methods": ["fedlmg_ft", "fedlmg_sd"],
    "baselines": ["fedavg"],
    "setting": "feature skew",
    "datasets": None,
    "margin": 0.0,
}
AGAINST = {key: value for key, value in SERVED.items() if key != "baselines"}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return synthetic_fedlmg.results(tmp_path_factory.mktemp("fedlmg"))


@pytest.fixture
def judged(tmp_path, grid):
    def verdict(test, results=grid, scale="embedded"):
        claim = {"id": "c", "text": "It is so.", "source": "sheet", "status": "published"}
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump([claim | {"scale": scale, "test": test}]))
        return judge(load_claims(path), Evidence(results, None))[0]

    return verdict


def test_each_method_has_to_lead_each_baseline(judged):
    claim = judged(SERVED)
    assert claim.verdict == "supported"
    assert "FedLMG, fine-tuning − FedAvg (EmojiDomains, one shot) = 22.0 ± 0.5" in claim.evidence
    assert "2 of 2 intervals lie above" in claim.evidence
    assert "Not run here: OpenImage." in claim.evidence
    # FT is 18 points below the ceiling, SD 14.
    below = judged(SERVED | {"baselines": ["ceiling"]})
    assert below.verdict == "contradicted"
    assert "FedLMG, fine-tuning − Ceiling" in below.evidence


@pytest.mark.parametrize(
    ("margin", "verdict"), [(21.4, "supported"), (21.9, "undecided"), (23.0, "contradicted")]
)
def test_the_margin_is_compared_with_the_ends_of_the_interval(judged, margin, verdict):
    # FT leads by 22.0 ± 0.497 points; the corrected interval of two comparisons is ± 0.72.
    assert judged(SERVED | {"margin": margin}).verdict == verdict


def test_an_ablation_is_compared_within_the_seed(judged):
    claim = judged(AGAINST | {"against": "no_editing"})
    assert claim.verdict == "supported"
    assert "− the same without editing of the noise (EmojiDomains, one shot) = 1.0 ± 0.5" in (
        claim.evidence
    )
    missing = judged(AGAINST | {"against": "lambda_1"})
    assert missing.verdict == "not testable here"
    assert "Missing: the ablation lambda_1 on EmojiDomains, one shot." in missing.evidence


def test_settings_data_sets_and_rows_that_were_not_run_are_named(judged, grid):
    mixed = judged(SERVED | {"setting": "different architectures"})
    assert mixed.verdict == "not testable here"
    assert "FedLMG, fine-tuning or FedAvg on EmojiDomains, two architectures" in mixed.evidence
    both = judged(SERVED | {"datasets": ["EmojiDomains", "OpenImage"]})
    assert both.verdict == "undecided"
    assert "Missing: feature skew on OpenImage." in both.evidence
    assert "Not run here" not in both.evidence
    alone = {k: v for k, v in grid.experiments.items() if k != synthetic_fedlmg.EMOJI}
    nothing = grid.fedlmg[grid.fedlmg["experiment"] != synthetic_fedlmg.EMOJI]
    without = judged(SERVED, replace(grid, experiments=alone, fedlmg=nothing))
    assert (without.verdict, "Missing: feature skew." in without.evidence) == (
        "not testable here",
        True,
    )


def test_two_seeds_decide_nothing(judged, tmp_path):
    claim = judged(SERVED, synthetic_fedlmg.results(tmp_path / "reports", seeds=2))
    assert claim.verdict == "undecided"
    assert "2 of 2 comparisons have fewer than 3 common seeds" in claim.evidence


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"against": "no_editing"}, "either baselines or an ablation"),
        ({"baselines": []}, "either baselines or an ablation"),
        ({"baselines": ["fedavgg"]}, r"test.baselines.0: .*'ceiling_head', 'ceiling'"),
        ({"baselines": ["fedlmg_ft"]}, "name fedlmg_ft twice"),
        ({"setting": "skew"}, "test.setting: .*'feature skew'"),
        ({"methods": []}, "test.methods: .*at least 1 item"),
    ],
)
def test_faults_name_the_key(judged, change, match):
    with pytest.raises(UserError, match=match):
        judged(SERVED | change)


def test_the_papers_claims_are_judged_on_these_reports(grid):
    claims = load_claims(CLAIMS)
    assert [claim.id for claim in claims] == [f"fedlmg-{n}" for n in range(1, 9)]
    verdicts = {claim.id: claim.verdict for claim in judge(claims, Evidence(grid, None))}
    expected = dict.fromkeys(verdicts, "supported")
    expected |= dict.fromkeys(("fedlmg-5", "fedlmg-8"), "not testable here")
    assert verdicts == expected


def test_what_a_paper_scale_claim_finds_there(tmp_path):
    grid = synthetic_fedlmg.results(tmp_path, dataset="OpenImage")
    paper = replace(grid, runs=grid.runs.assign(scale="paper"))
    judged = {claim.id: claim for claim in judge(load_claims(CLAIMS), Evidence(paper, None))}
    assert judged["fedlmg-8"].verdict == "contradicted"  # 14 points below the ceiling
    assert judged["fedlmg-5"].verdict == "undecided"  # ahead, but both NICO++ are missing
    assert "feature skew on Unique NICO++" in judged["fedlmg-5"].evidence
