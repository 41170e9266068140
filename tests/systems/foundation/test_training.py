"""Training of both networks: the right values, and the same bits after a kill."""

import dataclasses

import numpy as np
import pytest
import torch
from miniature import pool, settings
from torch import nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.pixels import encoded, to_tensor
from fedgenbench.systems.foundation import networks
from fedgenbench.systems.foundation.settings import Training
from fedgenbench.systems.foundation.training import train
from fedgenbench.systems.foundation.unet import kept_unet, snr_weights, train_unet
from fedgenbench.systems.foundation.vae import train_vae

POOL = pool()


class Killed(Exception):
    pass


def killed_at(step):
    def tell(done, note):
        if done == step:
            raise Killed

    return tell


def quiet(done, note):
    pass


def vae_after(folder, steps, tell=quiet):
    chosen = settings(vae_steps=steps)
    return train_vae(chosen, POOL, "cpu", folder=folder / "vae", tell=tell)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return vae_after(tmp_path_factory.mktemp("vae"), 4)[0]


def unet_after(vae, folder, tell=quiet, among=POOL, **changes):
    return train_unet(
        settings(unet_steps=5, **changes),
        among,
        vae,
        "cpu",
        folder=folder / "unet",
        tell=tell,
    )


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_a_killed_autoencoder_resumes_to_the_same_bits(tmp_path):
    unbroken, history = vae_after(tmp_path / "a", 5)
    with pytest.raises(Killed):
        vae_after(tmp_path / "b", 5, killed_at(3))
    resumed, again = vae_after(tmp_path / "b", 5)
    assert_equal(unbroken.state_dict(), resumed.state_dict())
    assert history == again
    assert [entry["step"] for entry in history] == [2, 4, 5]


def test_a_killed_unet_resumes_to_the_same_bits(vae, tmp_path):
    unet, text, _, history = unet_after(vae, tmp_path / "a")
    with pytest.raises(Killed):
        unet_after(vae, tmp_path / "b", killed_at(4))
    unet_again, text_again, _, again = unet_after(vae, tmp_path / "b")
    assert_equal(unet.state_dict(), unet_again.state_dict())
    assert_equal(text.state_dict(), text_again.state_dict())
    assert history == again


def test_a_training_can_be_taken_as_it_stands(vae, tmp_path):
    unet, text, _, history = unet_after(vae, tmp_path)
    found, found_text, tokenizer, kept = kept_unet(settings(unet_steps=90), POOL, tmp_path / "unet")
    assert_equal(unet.state_dict(), found.state_dict())
    assert_equal(text.state_dict(), found_text.state_dict())
    assert tokenizer.get_vocab()
    assert kept == history
    with pytest.raises(UserError, match="absent has no training of open"):
        kept_unet(settings(), POOL, tmp_path / "absent")


def test_a_velocity_is_learnt_too(vae, tmp_path):
    _, _, _, velocity = unet_after(vae, tmp_path / "v", prediction="v_prediction")
    _, _, _, noise = unet_after(vae, tmp_path / "e", prediction="epsilon")
    assert velocity[-1]["validation"] != noise[-1]["validation"]
    # Both are the error of the noise, at most about 1 before anything is learnt.
    assert 0 < velocity[0]["validation"] < 1.2


@pytest.mark.parametrize("velocity", [False, True])
def test_weights_are_min_snr_of_the_image_s_error(velocity):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(**networks.SCHEDULE)
    share = scheduler.alphas_cumprod.double().numpy()
    found = snr_weights(scheduler, velocity).double().numpy()
    ratio = share / (1 - share)
    # Of the noise: error of the image = error / ratio; of the velocity: error / (ratio + 1).
    of_image = ratio + velocity
    expected = np.minimum(of_image, 5 + velocity) / of_image
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_longer_training_goes_on_from_a_shorter_one(vae, tmp_path):
    short = settings(unet_steps=2)
    long = settings(unet_steps=5)
    for chosen in (short, long):
        unet, *_ = train_unet(chosen, POOL, vae, "cpu", folder=tmp_path / "unet", tell=quiet)
    assert_equal(unet.state_dict(), unet_after(vae, tmp_path / "whole")[0].state_dict())


def test_the_checkpoint_of_another_pool_is_refused(vae, tmp_path):
    unet_after(vae, tmp_path)
    with pytest.raises(UserError, match=r"belongs to open .* not to open .*: delete"):
        unet_after(vae, tmp_path, among=dataclasses.replace(POOL, sha256="1" * 64))


def test_the_autoencoder_learns_and_its_latents_have_unit_deviation(tmp_path):
    network, history = vae_after(tmp_path, 40)
    assert history[-1]["validation"] < 0.95 * history[0]["validation"]
    images = to_tensor(POOL.part(held_out=False).images)
    latents = encoded(network, images) * network.config.scaling_factor
    assert latents.shape == (len(images), 4, 8, 8)
    assert latents.std().item() == pytest.approx(1, rel=1e-4)


def test_the_text_encoder_learns_with_the_unet(vae, tmp_path):
    _, text, tokenizer, _ = unet_after(vae, tmp_path)
    seed = torch_seed(0, "foundation", "text_encoder", "weights")
    fresh = networks.text_encoder(settings().text, tokenizer, seed)
    moved = [
        not torch.equal(a, b) for a, b in zip(text.parameters(), fresh.parameters(), strict=True)
    ]
    assert all(moved)


def test_a_network_is_drawn_from_its_seed_alone():
    chosen = settings().vae
    before = torch.random.get_rng_state()
    one, same, other = (networks.vae(chosen, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_equal(one, same)
    assert not torch.equal(one["encoder.conv_in.weight"], other["encoder.conv_in.weight"])
    bound = (3 * 3 * 3) ** -0.5
    assert one["encoder.conv_in.weight"].abs().max() == pytest.approx(bound, rel=0.05)


def linear(steps, checkpoint, loss, identity="linear", ema=0.5):
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    chosen = Training(steps=steps, batch_size=1, lr=0.1, ema=ema, save_every=10)
    history = train(
        network,
        lambda generator: loss(network, generator),
        lambda: network.weight.item(),
        chosen,
        stream=(0, "test"),
        checkpoint=Checkpoint(checkpoint, identity),
        tell=quiet,
    )
    return network, history


def test_what_is_kept_is_the_moving_average_and_validation_sees_it(tmp_path):
    # Adam's first steps have the size of the rate, which is a hundredth of 0.1 at step 1.
    network, history = linear(1, tmp_path / "c", lambda net, g: -net.weight.sum())
    assert network.weight.item() == pytest.approx(
        0.001, rel=1e-3
    )  # the first average is the weight
    assert history == [{"step": 1, "train": 0.0, "validation": network.weight.item()}]
    slow, _ = linear(30, tmp_path / "d", lambda net, g: -net.weight.sum(), ema=0.99)
    fast, _ = linear(30, tmp_path / "e", lambda net, g: -net.weight.sum(), ema=0.0)
    assert slow.weight.item() < fast.weight.item()


def test_each_step_has_a_generator_of_its_own(tmp_path):
    draws = []

    def loss(net, generator):
        draws.append(torch.rand((), generator=generator).item())
        return net.weight.sum()

    linear(3, tmp_path / "c", loss)
    first = draws.copy()
    draws.clear()
    linear(4, tmp_path / "d", loss)
    assert len(set(first)) == 3
    assert draws[:3] == first


def test_the_checkpoint_of_other_settings_is_refused(tmp_path):
    linear(1, tmp_path / "c", lambda net, g: net.weight.sum())
    with pytest.raises(UserError, match=r"belongs to linear, not to another: delete"):
        linear(1, tmp_path / "c", lambda net, g: net.weight.sum(), identity="another")


def test_a_loss_that_is_not_finite_is_told(tmp_path):
    with pytest.raises(UserError, match="not finite after 1 steps"):
        linear(1, tmp_path / "c", lambda net, g: net.weight.sum() * np.nan)
    assert not (tmp_path / "c").exists()
