"""The server's model of client weights, its autoencoders and what it says of itself."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from fedgenbench.core.errors import UserError
from fedgenbench.systems.pfedgpa import autoencoders
from fedgenbench.systems.pfedgpa.autoencoders import Conv, Linear
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
from fedgenbench.systems.pfedgpa.diagnostics import movement, nearness, noised, overlap
from fedgenbench.systems.pfedgpa.generator import Generator
from fedgenbench.systems.pfedgpa.settings import GeneratorSettings
from fedgenbench.systems.pfedgpa.vectors import Layout, Normaliser

LAYOUT = Layout.of({"body.weight": torch.zeros(30, 20), "head.weight": torch.zeros(10, 10)})
SETTINGS = GeneratorSettings(
    layers=[],
    buffer=5,
    autoencoder="linear",
    components=4,
    autoencoder_channels=16,
    autoencoder_steps=(3, 2),
    reconstruction=0.0,
    denoiser="mlp",
    denoiser_steps=(60, 5),
    batch_size=16,
    rule="dpm_encoder",
    eta=0.7,
    inversion_steps=10,
    start=300,
)


def uploads(clients=4, rounds=3, seed=0):
    """A buffer of clients in two groups around a common, much larger start."""
    draws = torch.Generator().manual_seed(seed)
    base, groups = torch.randn(700, generator=draws), torch.randn(2, 700, generator=draws)
    buffer = ReplayBuffer(LAYOUT, SETTINGS.buffer)
    ids = list(range(clients))
    own = 0.02 * torch.randn(clients, 700, generator=draws)
    for _ in range(rounds):
        noise = 0.002 * torch.randn(clients, 700, generator=draws)
        buffer.add(base + 0.05 * groups[torch.tensor(ids) % 2] + own + noise, ids)
    return buffer


def fitted(buffer=None, **changed):
    generator = Generator(LAYOUT, SETTINGS.model_copy(update=changed), 0, "cpu")
    loss = generator.fit(uploads() if buffer is None else buffer)
    return generator, loss


# Autoencoders -----------------------------------------------------------------------------------
def test_principal_components_are_those_of_numpy():
    buffer = uploads()
    normaliser = Normaliser.fit(LAYOUT, buffer.vectors)
    linear = Linear(700, SETTINGS, 0, "cpu")
    linear.fit(normaliser, buffer.vectors, 0, torch.Generator())
    rows = normaliser.apply(buffer.vectors).numpy().astype(np.float64)
    _, values, axes = np.linalg.svd(rows, full_matrices=False)
    best = rows @ axes[:4].T @ axes[:4]
    rebuilt = normaliser.apply(
        linear.decode(normaliser, linear.encode(normaliser, buffer.vectors))
    ).numpy()
    np.testing.assert_allclose(rebuilt, best, atol=1e-3)
    np.testing.assert_allclose(linear.basis @ linear.basis.T, np.eye(4), atol=1e-4)
    lost = np.square(rows - rebuilt).sum()
    np.testing.assert_allclose(lost, np.square(values[4:]).sum(), rtol=1e-3)


def test_columns_are_read_in_parts_without_a_difference(monkeypatch):
    buffer = uploads()
    normaliser = Normaliser.fit(LAYOUT, buffer.vectors)
    bases = []
    for columns in (autoencoders.COLUMNS, 128):
        monkeypatch.setattr(autoencoders, "COLUMNS", columns)
        linear = Linear(700, SETTINGS, 0, "cpu")
        linear.fit(normaliser, buffer.vectors, 0, torch.Generator())
        bases.append(linear.basis.T @ linear.basis)
    torch.testing.assert_close(*bases, rtol=1e-3, atol=1e-4)


def test_a_later_basis_lies_as_close_to_the_old_one_as_it_can():
    buffer = uploads()
    generator, _ = fitted(buffer)
    before, codes = generator.autoencoder.basis, generator.encode(buffer.vectors)
    buffer.add(buffer.latest()[0] + 1e-4, [0, 1, 2, 3])
    generator.fit(buffer)
    after = generator.autoencoder.basis
    # Procrustes: what turns one onto the other is symmetric and positive.
    turn = (before @ after.T).double()
    torch.testing.assert_close(turn, turn.T, rtol=0, atol=1e-4)
    assert torch.linalg.eigvalsh(turn).min() > 0
    same = generator.encode(buffer.vectors[:2])
    assert (same - codes[:2]).norm() < 0.1 * codes[:2].norm()


def test_equal_uploads_divide_by_nothing():
    buffer = ReplayBuffer(LAYOUT, 5)
    for _ in range(3):
        buffer.add(torch.ones(4, 700), [0, 1, 2, 3])
    generator, _ = fitted(buffer)
    made = generator.decode(generator.generate(generator.encode(buffer.vectors[:1]), [0]))
    torch.testing.assert_close(made, torch.ones(1, 700))


def test_too_few_uploads_for_the_components_are_refused():
    with pytest.raises(UserError, match=r"linear autoencoder of 12 components .* and has 12"):
        fitted(components=12)


def test_the_convolutional_autoencoder_learns():
    buffer = uploads()
    normaliser = Normaliser.fit(LAYOUT, buffer.vectors)
    target = normaliser.apply(buffer.vectors)
    conv = Conv(700, SETTINGS, 0, "cpu")

    def error():
        rebuilt = conv.decode(normaliser, conv.encode(normaliser, buffer.vectors))
        return (normaliser.apply(rebuilt) - target).square().mean()

    before = error()
    conv.fit(normaliser, buffer.vectors, 60, torch.Generator().manual_seed(0))
    assert error() < 0.9 * before


# The generator ------------------------------------------------------------------------------------
def test_it_learns():
    _, loss = fitted(denoiser_steps=(300, 1))
    assert loss < 0.6  # an untrained network is at 1 or above


def test_its_state_comes_back_from_a_file_and_goes_on_alike():
    buffer = uploads()
    one, _ = fitted(buffer)
    other = Generator.load(LAYOUT, SETTINGS, 0, load(save(one.state())))
    for generator in (one, other):
        generator.fit(buffer)
    codes = one.encode(buffer.vectors[:2])
    assert torch.equal(codes, other.encode(buffer.vectors[:2]))
    assert torch.equal(one.generate(codes, [0, 1]), other.generate(codes, [0, 1]))


def test_a_clients_result_does_not_depend_on_who_else_is_there():
    generator, _ = fitted()
    codes = generator.encode(uploads().latest()[0])
    together = generator.generate(codes, [0, 1, 2, 3])
    for client in range(4):
        alone = generator.generate(codes[client : client + 1], [client])
        torch.testing.assert_close(alone, together[client : client + 1], rtol=1e-4, atol=1e-5)


def test_eta_one_returns_what_the_autoencoder_keeps():
    generator, _ = fitted(eta=1.0)
    vectors, ids = uploads().latest()
    made = generator.decode(generator.generate(generator.encode(vectors), ids))
    torch.testing.assert_close(made, generator.rebuild(vectors), rtol=1e-4, atol=1e-4)


def test_a_diverged_denoiser_is_named_with_the_client():
    generator, _ = fitted()
    codes = generator.encode(uploads().latest()[0])
    codes[2] = float("inf")
    with pytest.raises(UserError, match="generated for client 7 are not finite"):
        generator.generate(codes, [5, 6, 7, 8])


def test_the_twin_has_never_seen_the_client_it_is_asked_about():
    buffer = uploads(clients=6, rounds=4)
    generator, _ = fitted(buffer)
    found = generator.held_out(buffer, 3)
    twin, _ = fitted(buffer.without(3))
    own = buffer.latest()[0][3:4]
    lost = (own - twin.rebuild(own)).norm() / (own - twin.normaliser.centre).norm()
    assert found["held_out_error"] == pytest.approx(float(lost), rel=1e-5)
    assert found["held_out_loss"] == pytest.approx(twin.loss(own), rel=1e-5)
    assert found["held_out_error"] > 0.1  # its own part lies outside the span of the others


# Diagnostics --------------------------------------------------------------------------------------
def test_the_log_of_a_generation_by_hand():
    buffer = ReplayBuffer(Layout.of({"a": torch.zeros(2)}), 2)
    buffer.add(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), [1, 6])
    vectors = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    made = torch.tensor([[1.5, 2.0], [0.0, 4.0]])
    log = movement(vectors, made) | nearness(made, buffer, buffer.vectors)
    half = np.hypot(1.5, 2.0)
    np.testing.assert_allclose(log["change"], [half / 3, 0])
    np.testing.assert_allclose(log["moved"], [1, 0])  # client 1 went to the mean
    assert log["nearest"].tolist()[1] == 6
    np.testing.assert_allclose(log["gap"], [half / np.sqrt(12.5), 0], rtol=1e-6)


def test_noise_leads_as_far_as_generation_in_proportion_to_the_scales():
    vectors, made = torch.zeros(2, 4000), torch.zeros(2, 4000)
    made[0, 0], made[1, :4] = 3.0, 1.0
    scale = torch.tensor([1.0, 3.0]).repeat_interleave(2000)
    noise = noised(vectors, made, scale, [torch.Generator().manual_seed(s) for s in (0, 1)])
    np.testing.assert_allclose(noise.norm(dim=1), [3, 2], rtol=1e-5)
    np.testing.assert_allclose(noise[:, 2000:].std(1) / noise[:, :2000].std(1), [3, 3], rtol=0.1)
    assert abs(torch.corrcoef(noise)[0, 1]) < 0.1
    assert torch.equal(noised(made, made, scale, [torch.Generator()] * 2), made)


def test_overlap_is_intersection_over_union_of_the_wrong():
    right = [torch.tensor([1, 0, 0, 0], dtype=bool), torch.tensor([1, 1], dtype=bool)]
    other = [torch.tensor([0, 0, 0, 1], dtype=bool), torch.tensor([1, 1], dtype=bool)]
    assert overlap(right, other) == [0.5, 1.0]
    assert overlap(right, right) == [1.0, 1.0]
