"""What is refused before anything runs: the key, and the way out."""

from typing import get_args

import pytest
import torch

from fedgenbench.models import build
from fedgenbench.models.imagenet import HEADS
from fedgenbench.models.limits import BATCH_NORM, LAYERS, PRETRAINED, SMALLEST
from fedgenbench.models.registry import MODELS, FederatedModel

FASHION, EMOJI, ONE_SHOT = "fashion_mnist-10", "emoji_domains", "emoji_domains-oneshot"


def put(raw, address, value):
    *way, last = address.split("/")
    for key in way:
        raw = raw[key]
    raw[last] = value


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "a/b",
        "Capital",
        "Ünïcode",
        "---",
        "",
        "..",
        ".hidden",
        "x" * 65,
        "a\nb",
        "null ",
    ],
)
def test_names_that_no_path_can_bear_are_refused(alone, refusal, name):
    raw = alone(FASHION)
    raw["experiments"][name] = raw["experiments"][FASHION] | {"title": "Another"}
    message = refusal(raw)
    assert f"experiments.{name}: this name stands in paths" in message
    raw["experiments"].pop(name)
    raw["variants"][name] = {"method": "fedavg", "title": "F", "settings": {}}
    assert f"variants.{name}: this name stands in paths" in refusal(raw)


def test_names_that_a_path_can_bear_are_taken(alone, load_raw):
    raw = alone(FASHION)
    raw["experiments"]["2nd.run_of-mine"] = raw["experiments"][FASHION] | {"title": "Another"}
    _, scales = load_raw(raw)
    assert "2nd.run_of-mine" in scales["embedded"].experiments


# Experiment, what is put where, what the message says.
FAULTS = [
    (FASHION, "seeds", [2**63], ["seeds.0 = 9223372036854775808", "less than or equal"]),
    (FASHION, "foundation/seed", 2**64, ["foundation.seed = 18446744073709551616"]),
    (FASHION, "score_rounds", 5, ["score_rounds: a score over 5 evaluations", "5 round(s) have 4"]),
    (
        FASHION,
        "datasets/fashion_mnist/mean",
        [0.1] * 3,
        ["mean: 3 value(s) for images of 1 channel"],
    ),
    (EMOJI, "datasets/emoji_domains/std", [0.1], ["std: 1 value(s) for images of 3 channel(s)"]),
    (FASHION, "methods/pfedgpa/layers", ["heda"], ["fedpac_cnn has no layer 'heda'; it has convs"]),
    (FASHION, "methods/pfedgpa/layers", ["head", "head"], ["layers: names 'head' twice"]),
    (FASHION, "unclip/encoder/patch", 5, ["unclip.encoder: patch 5 does not divide the 32 pixels"]),
    (FASHION, "unclip/encoder/heads", 5, ["unclip.encoder: heads 5 do not divide the width 96"]),
    (FASHION, "foundation/text/heads", 3, ["foundation.text: heads 3 do not divide the width 64"]),
    (FASHION, "foundation/unet/heads", 3, ["foundation.unet: heads 3 do not divide the width 64"]),
    (FASHION, "foundation/unet/channels", [64] * 5, ["halve an edge of 32 pixels 6 times"]),
]
FAULTS += [
    (name, f"experiments/{name}/{address}", value, [f"experiments.{name}", *words])
    for name, address, value, words in [
        (FASHION, "score_rounds", 5, [".score_rounds: a score over 5 evaluations"]),
        (FASHION, "ablations", ["pfedgpa_own"] * 2, [".ablations: names 'pfedgpa_own' twice"]),
        (FASHION, "pfedgpa/newcomers/steps", [5, 5], [".pfedgpa.newcomers.steps: names 5 twice"]),
        (FASHION, "overrides", {"moon": {"mu": 1.0}}, [".overrides.moon: no row of it plays moon"]),
        (EMOJI, "leave_one_out", ["fedavg"] * 2, [".leave_one_out: names 'fedavg' twice"]),
        (EMOJI, "local/batch_size", 1, [".local.batch_size: 1 image has no statistics", "bn_cnn"]),
        (EMOJI, "warmfed/warm_start/batch_size", 1, [".warm_start.batch_size: 1 image has no"]),
        (
            EMOJI,
            "warmfed/lora/targets",
            ["to_z"],
            [".lora.targets: the U-Net in models/foundation"],
        ),
        (EMOJI, "warmfed/lora/targets", ["to_q", "to_q"], [".targets: names 'to_q' twice"]),
        (EMOJI, "warmfed/prompt", "a {label} by {artist}", ["nothing fills {artist}"]),
        (EMOJI, "warmfed/prompt", "a {label} in { braces", [".prompt = ", "write a brace"]),
        (EMOJI, "warmfed/prompts/templates", ["{label} {style}"], ["nothing fills {style}"]),
        (
            EMOJI,
            "warmfed/base/source",
            "papers",
            [".base.source: papers has no model_index.json"],
        ),
        (ONE_SHOT, "fedlmg/sizes", [0], [".fedlmg.sizes.0 = 0", "greater than or equal"]),
        (ONE_SHOT, "fedlmg/sizes", [-1], [".fedlmg.sizes.0 = -1"]),
        (ONE_SHOT, "fedlmg/sizes", [2, 5, 2], [".fedlmg.sizes: names 2 twice"]),
        (ONE_SHOT, "fedlmg/per_class", 0, [".fedlmg.per_class = 0"]),
        (
            ONE_SHOT,
            "fedlmg/ablations/Two words",
            {"batch_norm": 0.0},
            ["this name stands in paths"],
        ),
        (ONE_SHOT, "fedlmg/ablations/main", {"batch_norm": 0.0}, ["'main' is a row already"]),
        (
            ONE_SHOT,
            "fedlmg/server/batch_size",
            1,
            [".server.batch_size: 1 image has no statistics"],
        ),
        (ONE_SHOT, "fedlmg/imagenet", "models", [".imagenet: bn_cnn has no ImageNet weights"]),
    ]
]


@pytest.mark.parametrize(("name", "address", "value", "words"), FAULTS)
def test_a_setting_that_cannot_work_is_told_before_anything_runs(
    alone, refusal, name, address, value, words
):
    raw = alone(name)
    put(raw, address, value)
    message = refusal(raw)
    assert "(scale embedded) has" in message
    for said in words:
        assert said in message


@pytest.mark.parametrize("name", [FASHION, EMOJI, ONE_SHOT])
def test_the_settings_that_the_faults_spoil_are_good(alone, load_raw, name):
    load_raw(alone(name))


def test_every_evaluation_may_count_and_an_experiment_may_have_a_number_of_its_own(alone, load_raw):
    raw = alone(FASHION) | {"score_rounds": 4}
    _, scales = load_raw(raw)
    settings = scales["embedded"]
    assert settings.score_rounds_of(settings.experiments[FASHION]) == 4
    raw["score_rounds"] = 9
    raw["experiments"][FASHION]["score_rounds"] = 3
    _, scales = load_raw(raw)
    settings = scales["embedded"]
    assert settings.score_rounds_of(settings.experiments[FASHION]) == 3


def test_two_experiments_or_rows_with_one_title_are_refused(alone, refusal):
    raw = alone(FASHION)
    raw["experiments"]["twin"] = raw["experiments"][FASHION]
    message = refusal(raw)
    assert (
        "experiments.twin.title: 'Fashion-MNIST, 10 clients' is that of fashion_mnist-10" in message
    )
    del raw["experiments"]["twin"]
    raw["variants"]["pfedgpa_eta_1"]["title"] = raw["variants"]["pfedgpa_own"]["title"]
    assert "variants.pfedgpa_eta_1.title" in refusal(raw)


def test_an_experiment_named_as_one_without_a_domain_is_refused(alone, refusal):
    raw = alone(EMOJI)
    name = f"{EMOJI}-without-noto"
    raw["experiments"][name] = raw["experiments"][EMOJI] | {"title": "T", "leave_one_out": []}
    assert f"experiments.{name}: {EMOJI}.leave_one_out makes one of this name" in refusal(raw)


def test_overrides_that_are_taken_over_need_not_be_played(alone, load_raw):
    raw = alone(FASHION)
    raw["experiments"][FASHION]["overrides"] = {"ditto": {"lam": 0.5}}
    raw["experiments"]["few"] = {"like": FASHION, "title": "Few", "methods": ["fedavg"]}
    raw["experiments"]["few"] |= {"ablations": [], "pfedgpa": None}
    load_raw(raw)


def test_a_model_too_deep_for_the_images_is_refused(alone, refusal, raw):
    partition = raw["experiments"][FASHION]["partition"]
    content = alone(ONE_SHOT)
    chosen = content["experiments"][ONE_SHOT]
    chosen |= {"dataset": "fashion_mnist", "partition": partition, "report_global": False}
    chosen["fedlmg"]["clients"]["models"] = ["mini_vgg", "vgg16"]
    said = "fedlmg.clients.models: vgg16 needs images of 32 pixels, those of fashion_mnist have 28"
    assert said in refusal(content)


@pytest.mark.parametrize("scheme", ["domain_shards", "dirichlet"])
def test_validation_images_that_a_client_does_not_get_are_missed_in_the_plan(
    alone, refusal, scheme
):
    raw = alone(EMOJI)
    dealt = {
        "domain_shards": {"clients_per_domain": 100},
        "dirichlet": {"clients": 6, "alpha": 1.0},
    }
    chosen = raw["experiments"][EMOJI] | {"score_on": "valid", "leave_one_out": []}
    fraction = 0.2 if scheme == "domain_shards" else 0.0001
    chosen["partition"] = {"scheme": scheme, "valid_fraction": fraction} | dealt[scheme]
    raw["experiments"][EMOJI] = chosen
    message = refusal(raw)
    assert f"experiments.{EMOJI}.partition.valid_fraction: {fraction:g} of the" in message
    assert "(seed 0) is no image to score on: raise it, or set score_on to test" in message


# What is known of models without building them ------------------------------------------------------
def passes(name, edge):
    model = build(name, (3, edge, edge), 2, 0).eval()
    with torch.no_grad():
        return model(torch.zeros(1, 3, edge, edge))[0].shape == (1, 2)


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_image_of_a_model_is_known(name):
    least = SMALLEST.get(name, 1)
    assert passes(name, least)
    if least > 1:
        with pytest.raises((RuntimeError, ZeroDivisionError, ValueError)):
            passes(name, least - 1)


def test_the_models_with_batch_norm_and_with_imagenet_weights_are_known():
    norms = {
        name
        for name in MODELS
        if any("running_var" in n for n in build(name, (3, 32, 32), 2, 0).state_dict())
    }
    assert norms == BATCH_NORM
    assert {cls for name, (_, cls) in MODELS.items() if name in PRETRAINED} == set(HEADS)


@pytest.mark.parametrize("name", get_args(FederatedModel))
def test_the_layers_of_a_federated_model_are_known(name):
    modules = {
        n
        for n, m in build(name, (3, 32, 32), 2, 0).named_modules()
        if n and any(True for _ in m.parameters())
    }
    assert set(LAYERS[name]) == modules
