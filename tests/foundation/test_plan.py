"""What moves which digest."""

from miniature import settings

from fedgenbench.foundation.plan import Plan
from fedgenbench.foundation.settings import Foundation, UNetJob, VaeJob

CODES = {"vae": ["a"], "unet": ["b"], "evaluate": ["c"]}


def digests(changes=None, data="data", codes=CODES):
    chosen = settings()
    for part, values in (changes or {}).items():
        new = (
            getattr(chosen, part).model_copy(update=values) if isinstance(values, dict) else values
        )
        chosen = chosen.model_copy(update={part: new})
    plan = Plan(chosen, data, codes)
    return plan.vae, plan.unet, plan.evaluate


def moved(**arguments):
    return [a != b for a, b in zip(digests(), digests(**arguments), strict=True)]


def test_a_setting_moves_what_depends_on_it_and_nothing_else():
    assert moved() == [False, False, False]
    assert moved(changes={"seed": 1}) == [True, True, True]
    assert moved(changes={"vae": {"kl_weight": 0.5}}) == [True, True, True]
    assert moved(changes={"text": {"layers": 2}}) == [False, True, True]
    assert moved(changes={"unet": {"heads": 4}}) == [False, True, True]
    assert moved(changes={"sampler": {"steps": 3}}) == [False, False, True]
    assert moved(changes={"evidence": {"epochs": 3}}) == [False, False, True]


def test_a_job_gets_the_settings_in_its_digest_and_no_others():
    plan = Plan(settings(), "data", CODES)
    assert set(plan.job(VaeJob)) == {"seed", "holdout", "vae"}
    assert set(plan.job(UNetJob)) == {"seed", "holdout", "vae", "text", "unet"}
    assert VaeJob.model_validate(plan.job(VaeJob)).vae == settings().vae
    assert Foundation.model_validate(plan.job(Foundation)) == settings()


def test_data_and_code_move_what_is_made_with_them():
    assert moved(data="other") == [True, True, True]
    assert moved(codes=CODES | {"unet": ["other"]}) == [False, True, True]
    assert moved(codes=CODES | {"evaluate": ["other"]}) == [False, False, True]
