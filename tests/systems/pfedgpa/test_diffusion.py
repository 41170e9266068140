"""The grid against diffusers' scheduler, and training steps."""

from math import sqrt

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.systems.pfedgpa.diffusion import Training, alphas_bar, ddpm_loss, grid, schedule
from fedgenbench.systems.pfedgpa.inversion import denoised
from fedgenbench.systems.pfedgpa.networks import Autoencoder, ResidualMLP, build


def seeded(*names):
    return torch.Generator().manual_seed(torch_seed(0, *names))


@pytest.mark.parametrize("steps", [1000, 50])
def test_a_step_is_the_schedulers(steps):
    scheduler = schedule()
    scheduler.set_timesteps(steps)
    walk = grid(steps, 1000)
    assert [step.t for step in walk] == scheduler.timesteps.tolist()
    x, eps = torch.randn(2, 3, 50, generator=seeded())
    for step in walk:
        theirs = scheduler.step(eps, step.t, x, generator=seeded("noise")).prev_sample
        noise = torch.randn(3, 50, generator=seeded("noise"))
        ours = denoised(step, x, eps) + step.sigma * noise
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_grid_of_stride_one_is_the_whole_chain():
    walk, abar = grid(1000, 1000), alphas_bar()
    assert [step.t for step in walk] == list(range(999, -1, -1))
    for step in walk[:-1]:
        assert step.abar_below == abar[step.t - 1]
        assert step.beta == pytest.approx(float(schedule().betas[step.t]), rel=1e-6)
    assert (walk[-1].abar_below, walk[-1].sigma) == (1, 0)


def test_a_later_start_is_the_end_of_the_same_grid():
    assert grid(50, 100) == grid(50, 1000)[-5:]
    assert grid(50, 1) == grid(50, 1000)[-1:]


def test_the_variance_is_that_of_the_posterior():
    step = grid(1000, 1000)[0]
    below = float(alphas_bar()[998])
    assert step.sigma == pytest.approx(sqrt((1 - below) / (1 - step.abar) * 0.02), rel=1e-5)


@pytest.mark.parametrize(
    ("steps", "start"), [(0, 1000), (501, 1000), (2000, 1), (50, 0), (50, 1001)]
)
def test_a_grid_that_is_none_is_refused(steps, start):
    with pytest.raises(UserError):
        grid(steps, start)


def test_the_loss_of_a_perfect_answer_is_zero_and_of_silence_one():
    clean = torch.zeros(64, 100)
    scheduler, abar = schedule(), alphas_bar().float()

    def perfect(x, t):  # nothing but noise is in x
        return x / (1 - abar[t])[:, None].sqrt()

    assert ddpm_loss(perfect, clean, scheduler, seeded()) < 1e-6
    silent = ddpm_loss(lambda x, t: 0 * x, clean, scheduler, seeded())
    assert silent == pytest.approx(1, abs=0.05)


def denoiser_steps(training, rows, generator, steps):
    scheduler = schedule()
    losses = [
        training.step(lambda net: ddpm_loss(net, rows, scheduler, generator)) for _ in range(steps)
    ]
    return torch.stack(losses)


def test_a_denoiser_learns():
    rows = torch.randn(4, 30, generator=seeded("rows")).repeat(16, 1)
    training = Training(build(ResidualMLP, 30, 0))
    losses = denoiser_steps(training, rows, seeded("steps"), 150)
    assert losses[-20:].mean() < 0.6 * losses[:5].mean()


def test_an_autoencoder_learns():
    rows = torch.randn(2, 700, generator=seeded("rows"))
    training, generator = Training(build(Autoencoder, 700, 0)), seeded("steps")
    losses = [training.step(lambda net: net.loss(rows, generator)).item() for _ in range(60)]
    assert losses[-1] < 0.7 * losses[0]


def test_training_goes_on_from_a_file_to_the_same_bits(tmp_path):
    rows = torch.randn(8, 30, generator=seeded("rows"))
    unbroken, resumed = Training(build(ResidualMLP, 30, 0)), Training(build(ResidualMLP, 30, 5))
    denoiser_steps(unbroken, rows, seeded("a"), 3)
    save_file(unbroken.state(), tmp_path / "training.safetensors")
    resumed.load(load_file(tmp_path / "training.safetensors"))
    for training in (unbroken, resumed):
        denoiser_steps(training, rows, seeded("b"), 3)
    a, b = unbroken.state(), resumed.state()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
