"""Shapes, seeds and what each network must be able to tell apart."""

import pytest
import torch
from torch import nn

from fedgenbench.core.errors import UserError
from fedgenbench.systems.pfedgpa.networks import (
    Autoencoder,
    ConvUNet,
    ResidualMLP,
    averaged,
    build,
    mix,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("width", "latent"),
    [(117_066, 752), (123_774, 796), (107_690, 692), (75_146, 484), (1_290, 12)],
)
def test_the_latents_have_the_lengths_of_the_sheet(width, latent):
    with torch.device("meta"):
        assert Autoencoder(width).latent == latent


@torch.no_grad()
def test_the_autoencoder_maps_a_fashion_mnist_client_to_752_numbers_and_back():
    net = build(Autoencoder, 117_066, 0)
    x = torch.randn(1, 117_066, generator=seeded())
    code = net.encode(x)
    assert code.shape == (1, 752)
    assert code.abs().max() < 1
    assert net.decode(code).shape == x.shape


@torch.no_grad()
@pytest.mark.parametrize("kind", [Autoencoder, ConvUNet, ResidualMLP])
def test_rows_do_not_see_each_other(kind):
    width = 700 if kind is Autoencoder else 24
    net = build(kind, width, 0)
    x = torch.randn(3, width, generator=seeded())
    t = torch.tensor([3, 500, 999])
    more = [()] * 3 if kind is Autoencoder else [(t[k : k + 1],) for k in range(3)]
    together = net(x) if kind is Autoencoder else net(x, t)
    assert together.shape == x.shape
    for row in range(3):
        torch.testing.assert_close(together[row], net(x[row : row + 1], *more[row])[0])


@torch.no_grad()
@pytest.mark.parametrize("kind", [ConvUNet, ResidualMLP])
def test_each_sample_has_its_own_time(kind):
    net = build(kind, 24, 0)
    x = torch.randn(1, 24, generator=seeded()).expand(2, -1)
    a, b = net(x, torch.tensor([10, 900]))
    assert (a - b).abs().max() > 1e-3


@torch.no_grad()
def test_the_unet_knows_where_it_is():
    """Without places a convolution answers a constant signal by a constant, but for its edges."""
    net = build(ConvUNet, 200, 0)
    middle = net(torch.ones(1, 200), torch.tensor([500]))[0, 80:120]
    assert middle.std() > 1e-3


def test_the_unet_is_of_the_size_of_p_diffs():
    with torch.device("meta"):
        net = ConvUNet(752)
    weights = sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv1d))
    assert weights == pytest.approx(2.35e6, rel=0.01)


def test_a_vector_too_short_for_the_autoencoder_is_refused():
    with pytest.raises(UserError, match="more than 625 weights per client, here are 625"):
        Autoencoder(625)


@pytest.mark.parametrize("kind", [Autoencoder, ConvUNet, ResidualMLP])
def test_initial_weights_come_from_the_seed_alone(kind):
    before = torch.get_rng_state()
    a, b, other = (build(kind, 700, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], other[name]) for name in a)
    assert all(t.isfinite().all() for t in a.values())


def test_initial_weights_have_the_scale_of_torchs_own():
    ours = build(ResidualMLP, 700, 1).enter.weight.detach()
    assert ours.abs().max() == pytest.approx(700**-0.5, rel=1e-3)
    assert ours.std() == pytest.approx(700**-0.5 / 3**0.5, rel=1e-2)


def test_noise_is_mixed_in_by_its_share():
    x = torch.ones(1, 100_000)
    noisy = mix(x, 0.1, seeded())
    assert noisy.mean() == pytest.approx(0.9, abs=2e-3)
    assert noisy.std() == pytest.approx(0.1, abs=2e-3)


def test_the_average_follows_the_weights_and_ends_at_0_999():
    net = nn.Linear(1, 1, bias=False)
    average = averaged(net)
    expected = None
    with torch.no_grad():
        for n in range(10_000):
            net.weight.fill_(float(n % 7))
            average.update_parameters(net)
            decay = min(0.999, (1 + n) / (10 + n))
            expected = n % 7 if n == 0 else decay * expected + (1 - decay) * (n % 7)
    assert decay == 0.999
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-4)
