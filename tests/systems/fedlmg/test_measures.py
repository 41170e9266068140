"""The kind of test that FedLMG's claims need, judged on made-up reports."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import synthetic_fedlmg
from stated_claims import above, claim, of

from fedgenbench.core.errors import UserError
from fedgenbench.report.verdicts import judge
from fedgenbench.systems.claims import stated
from fedgenbench.systems.fedlmg import measures
from fedgenbench.systems.fedlmg.published import fedlmg_published

WHERE = {"methods": ["fedlmg_ft", "fedlmg_sd"], "setting": "feature skew", "datasets": None}
ACCURACY = above("accuracy", baselines=["fedavg"], **WHERE)
PART = above("accuracy_of_variations", better="main", worse="no_editing", **WHERE)


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
    assert "full guidance − without editing of the noise (EmojiDomains, one shot) = 1.0 ± 0.5" in (
        shown.evidence
    )
    missing = judged(of(PART, worse="lambda_1"))
    assert missing.verdict == "not testable here"
    assert "Missing: FedLMG, fine-tuning lambda_1 on EmojiDomains, one shot" in missing.evidence
    # Prompts alone are fine-tuning's rival, on as many images.
    none = judged(of(PART, better="no_batch_norm", worse="prompts", methods=["fedlmg_ft"]))
    assert "without batch-norm loss (nor editing by it) − prompts alone" in none.evidence
    assert none.verdict == "supported"


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


def test_more_images_more_clients_and_what_is_asked(judged):
    grown = judged(above("accuracy_by_images", **WHERE))
    assert grown.verdict == "supported"
    assert "FedLMG, fine-tuning, 2 − 1 images per client and class" in grown.evidence
    # FT with nine clients is two points below that with three.
    fell = above("accuracy_with_more_clients", methods=["fedlmg_ft"], datasets=None)
    assert judged(fell | {"bound": -2.5}).verdict == "supported"
    assert judged(fell | {"bound": -1.0}).verdict == "contradicted"
    alone = judged(of(fell, datasets=["OpenImage"]))
    assert alone.verdict == "not testable here"
    times = above("times_of_one_shot", methods=["fedavg"], asked="traffic", datasets=None)
    assert judged(times | {"bound": 38.9}).verdict == "supported"  # 20 up and 19 down
    assert judged(times | {"bound": 39.1}).verdict == "contradicted"
    work = judged(of(times, asked="flops", methods=["feddisc"]) | {"bound": 1.9})
    assert work.verdict == "supported"  # 2e6 operations against 1e6
    lacking = judged(of(times, asked="flops", methods=["feddeo"]))
    assert "Missing: FedDEO on EmojiDomains, one shot" in lacking.evidence


def test_distances_to_half_of_the_real_images(judged):
    far = above("distance_to_real_images", far="guided", near="half", datasets=None)
    assert judged(far).verdict == "supported"  # 10 against 5, times the client's number
    assert judged(of(far, far="half", near="guided")).verdict == "contradicted"


def test_the_papers_claims_are_judged_on_these_reports(grid):
    claims = stated()["fedlmg"]
    assert [each.entry.id for each in claims] == [f"fedlmg-{n}" for n in range(1, 19)]
    verdicts = {claim.id: claim.verdict for claim in judge(claims, grid)}
    elsewhere = ("fedlmg-3", "fedlmg-4", "fedlmg-11", "fedlmg-12")
    assert {v for name, v in verdicts.items() if name in elsewhere} == {"not testable here"}
    supported = [f"fedlmg-{n}" for n in (1, 2, 5, 7, 8, 15, 16, 17, 18)]
    assert {name: verdicts[name] for name in supported} == dict.fromkeys(supported, "supported")
    assert verdicts["fedlmg-6"] == "not testable here"  # no such variation was made up
    assert verdicts["fedlmg-9"] == "contradicted"
    assert verdicts["fedlmg-13"] == "contradicted"  # SD is above MD there


def test_what_a_paper_scale_claim_finds_there(tmp_path):
    grid = synthetic_fedlmg.results(tmp_path, dataset="OpenImage")
    paper = replace(grid, runs=grid.runs.assign(scale="paper"))
    judged = {each.id: each for each in judge(stated()["fedlmg"], paper)}
    assert judged["fedlmg-3"].verdict == "contradicted"  # 14 points below the ceiling
    assert judged["fedlmg-4"].verdict == "not testable here"
    assert "feature skew on Unique NICO++" in judged["fedlmg-4"].evidence


def test_the_sizes_beside_claims_are_those_that_are_printed():
    """Leads that the comments of claims.yaml quote, from published.yaml."""
    stated = fedlmg_published()
    text = (Path(measures.__file__).parent / "claims.yaml").read_text(encoding="utf-8")
    leads = []
    for table in stated.of("feature skew"):
        rivals = [table.average(r) for r in table.rows if not r.startswith(("fedlmg", "ceil"))]
        leads.append(f"{table.average('fedlmg_sd') - max(rivals):+.2f}")
    assert f"FGL: {', '.join(leads)}" in text
    for table, row in product(stated.of("number of clients"), ("6",)):
        fall = min(table.average(r) for r in table.rows) - table.average(row)
        assert f"−{abs(fall):.2f}" in text
    (noise,) = stated.of("noise on uploads")
    assert f"{noise.average('0'):.2f} without noise, {noise.average('100'):.2f} at 100" in text
