"""What each inversion rule promises, whatever the network."""

import pytest
import torch

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.systems.pfedgpa.diffusion import diffuse, grid
from fedgenbench.systems.pfedgpa.inversion import (
    RULES,
    denoised,
    guided_epsilon,
    guided_sample,
    invert,
)
from fedgenbench.systems.pfedgpa.networks import ConvUNet, ResidualMLP, build
from fedgenbench.systems.pfedgpa.toy import ideal_denoiser

CLIENTS, WIDTH = 3, 40


def draws(clients=range(CLIENTS)):
    return [torch.Generator().manual_seed(torch_seed(0, "inversion", k)) for k in clients]


def codes(width=WIDTH):
    generator = torch.Generator().manual_seed(torch_seed(0, "codes"))
    return torch.randn(CLIENTS, width, generator=generator)


def network(kind):
    """Random weights, three times larger than at the start of training."""
    net = build(kind, WIDTH, 0).requires_grad_(False)
    for tensor in net.parameters():
        tensor *= 3
    return net


def mixture(width=WIDTH):
    generator = torch.Generator().manual_seed(torch_seed(0, "centres"))
    return ideal_denoiser(torch.randn(5, width, generator=generator), 0.3)


def rms(x):
    return x.square().mean().sqrt().item()


@pytest.mark.parametrize("kind", [ConvUNet, ResidualMLP])
@pytest.mark.parametrize(("steps", "start"), [(50, 1000), (50, 100), (50, 1), (200, 300)])
def test_dpm_encoder_with_all_its_noise_is_the_identity_for_any_network(kind, steps, start):
    out = invert("dpm_encoder", codes(), network(kind), grid(steps, start), 1.0, draws())
    torch.testing.assert_close(out, codes(), rtol=0, atol=2e-6)


def test_edit_friendly_with_all_its_noise_misses_by_the_lowest_step_alone():
    net, walk = network(ResidualMLP), grid(50, 1000)
    out = invert("edit_friendly", codes(), net, walk, 1.0, draws())
    generators = draws()
    for _ in walk:  # the draws down to the noise of the lowest x_t
        noise = torch.stack([torch.randn(WIDTH, generator=g) for g in generators])
    lowest = diffuse(codes(), walk[-1].abar, noise)
    eps = net(lowest, walk[-1].times(lowest))
    torch.testing.assert_close(out, denoised(walk[-1], lowest, eps), rtol=1e-4, atol=1e-4)
    assert rms(out - codes()) == pytest.approx(0.01 * rms(eps - noise), rel=1e-2)


def test_ddim_is_the_identity_up_to_discretisation():
    group, epsilon = 0.3 * codes(), ideal_denoiser(torch.zeros(1, WIDTH), 0.3)
    errors = [
        rms(invert("ddim", group, epsilon, grid(steps, 1000), 1.0, draws()) - group)
        for steps in (50, 200, 1000)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.005


@pytest.mark.parametrize("kind", [ConvUNet, ResidualMLP])
def test_without_noise_dpm_encoder_decodes_its_top_alone(kind):
    net, walk = network(kind), grid(50, 300)
    out = invert("dpm_encoder", codes(), net, walk, 0.0, draws())
    noise = torch.stack([torch.randn(WIDTH, generator=g) for g in draws()])
    x = diffuse(codes(), walk[0].abar, noise)
    for step in walk:
        x = denoised(step, x, net(x, step.times(x)))
    torch.testing.assert_close(out, x)


def test_without_noise_two_clients_of_one_group_become_one():
    generator = torch.Generator().manual_seed(torch_seed(0, "pair"))
    centre = torch.randn(1, 1000, generator=generator)
    pair = centre + 0.3 * torch.randn(2, 1000, generator=generator)
    epsilon = ideal_denoiser(centre, 0.3)
    for eta in (0.0, 0.7):
        out = invert("dpm_encoder", pair, epsilon, grid(1000, 1000), eta, draws([0, 0]))
        kept = rms(out[0] - out[1]) / rms(pair[0] - pair[1])
        assert kept == pytest.approx(eta, abs=0.02)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "latent_mean"])
@pytest.mark.parametrize("kind", [ConvUNet, ResidualMLP])
def test_clients_together_are_clients_one_by_one(rule, kind):
    net, walk = build(kind, WIDTH, 0), grid(50, 300)
    together = invert(rule, codes(), net, walk, 0.7, draws())
    for client in range(CLIENTS):
        alone = codes()[client : client + 1]
        one = invert(rule, alone, net, walk, 0.7, draws([client]))
        torch.testing.assert_close(together[client], one[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_repeats_with_its_seeds_and_leaves_its_input_alone(rule):
    given = codes()
    net, walk = build(ResidualMLP, WIDTH, 0), grid(50, 100)
    outs = [invert(rule, given, net, walk, 0.7, draws()) for _ in range(2)]
    assert torch.equal(*outs)
    assert torch.equal(given, codes())
    assert outs[0].shape == given.shape
    assert not outs[0].requires_grad
    assert outs[0].data_ptr() != given.data_ptr()


def test_autoencoder_only_and_latent_mean():
    net, walk = network(ResidualMLP), grid(50, 1000)
    assert torch.equal(invert("autoencoder_only", codes(), net, walk, 0.7, draws()), codes())
    mean = invert("latent_mean", codes(), net, walk, 0.7, draws())
    torch.testing.assert_close(mean, codes().mean(0).expand(CLIENTS, -1))


def test_sdedit_keeps_less_the_higher_it_starts():
    changes = [
        rms(invert("sdedit", codes(), mixture(), grid(1000, start), 1.0, draws()) - codes())
        for start in (20, 100, 300)
    ]
    assert changes == sorted(changes)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no inversion rule 'ddpm'; there are dpm_encoder, edit"):
        invert("ddpm", codes(), mixture(), grid(50, 1000), 1.0, draws())


# Guidance ------------------------------------------------------------------------------------------
def test_guidance_has_no_unit_and_omega_minus_one_is_none():
    eps, direction = codes(), codes().flip(0)
    small = guided_epsilon(eps, 1e-6 * direction, 0.5, 1.0, "towards")
    large = guided_epsilon(eps, 1e3 * direction, 0.5, 1.0, "towards")
    torch.testing.assert_close(small, large)
    assert rms(small - eps) == pytest.approx(2 * 0.5**0.5, rel=1e-5)
    assert torch.equal(guided_epsilon(eps, direction, 0.5, -1.0, "towards"), eps)
    assert torch.equal(guided_epsilon(eps, 0 * direction, 0.5, 1.0, "towards"), eps)


@pytest.mark.parametrize("steps", [5, 20])
def test_towards_moves_along_the_update_and_the_printed_sign_away_from_it(steps):
    generator = torch.Generator().manual_seed(torch_seed(0, "guidance"))
    centre, other = torch.randn(2, 1, 1000, generator=generator)
    vectors = centre + 0.3 * torch.randn(CLIENTS, 1000, generator=generator)
    direction = 1e-3 * torch.randn(CLIENTS, 1000, generator=generator)
    epsilon, walk = ideal_denoiser(torch.cat([centre, other]), 0.3), grid(50, 1000)[-steps:]

    def moved(omega, sign):
        out = guided_sample(vectors, direction, epsilon, walk, omega, sign, draws())
        plain = guided_sample(vectors, direction, epsilon, walk, -1.0, sign, draws())
        return ((out - plain) * direction).sum(1)

    assert (moved(0.0, "towards") > 0).all()
    assert (moved(1.0, "towards") > moved(0.0, "towards")).all()
    assert (moved(0.0, "printed") < 0).all()
