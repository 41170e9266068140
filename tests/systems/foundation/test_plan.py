"""What moves which digest."""

from miniature import settings

from fedgenbench.systems.foundation.plan import Plan, training_identity
from fedgenbench.systems.foundation.settings import Foundation, PoolJob, UNetJob, VaeJob

CODES = {"pool": ["p"], "vae": ["a"], "unet": ["b"], "evaluate": ["c"]}


def digests(changes=None, drawings="drawings", private="private", codes=CODES):
    chosen = settings()
    for part, values in (changes or {}).items():
        new = (
            getattr(chosen, part).model_copy(update=values) if isinstance(values, dict) else values
        )
        chosen = chosen.model_copy(update={part: new})
    plan = Plan(chosen, drawings, private, codes)
    return plan.pool, plan.vae, plan.unet, plan.evaluate


def moved(**arguments):
    return [a != b for a, b in zip(digests(), digests(**arguments), strict=True)]


def test_a_setting_moves_what_depends_on_it_and_nothing_else():
    assert moved() == [False, False, False, False]
    assert moved(changes={"subjects": "strict"}) == [True, True, True, True]
    assert moved(changes={"seed": 1}) == [False, True, True, True]
    assert moved(changes={"shares": {"line": 0.5}}) == [False, True, True, True]
    assert moved(changes={"vae": {"kl_weight": 0.5}}) == [False, True, True, True]
    assert moved(changes={"text": {"layers": 2}}) == [False, False, True, True]
    assert moved(changes={"unet": {"heads": 4}}) == [False, False, True, True]
    assert moved(changes={"sampler": {"steps": 3}}) == [False, False, False, True]
    assert moved(changes={"evidence": {"epochs": 3}}) == [False, False, False, True]


def test_a_job_gets_the_settings_in_its_digest_and_no_others():
    plan = Plan(settings(), "drawings", "private", CODES)
    assert set(plan.job(PoolJob)) == {"subjects"}
    assert set(plan.job(VaeJob)) == {"subjects", "seed", "shares", "vae"}
    assert set(plan.job(UNetJob)) == {"subjects", "seed", "shares", "vae", "text", "unet"}
    assert VaeJob.model_validate(plan.job(VaeJob)).vae == settings().vae
    assert Foundation.model_validate(plan.job(Foundation)) == settings()


def test_data_and_code_move_what_is_made_with_them():
    assert moved(drawings="other") == [True, True, True, True]
    assert moved(private="other") == [True, True, True, True]
    assert moved(codes=CODES | {"unet": ["other"]}) == [False, False, True, True]
    assert moved(codes=CODES | {"evaluate": ["other"]}) == [False, False, False, True]


def test_a_training_goes_on_whatever_its_length_and_nothing_else_changes():
    def identity(sha256="0", **arguments):
        chosen = settings(**arguments).model_dump(include=set(UNetJob.model_fields))
        return training_identity(UNetJob.model_validate(chosen), sha256)

    assert identity() == identity(unet_steps=9) == identity(vae_steps=9)
    assert identity() != identity(prediction="v_prediction")
    assert identity() != identity(sha256="1")
