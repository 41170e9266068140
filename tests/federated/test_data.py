"""Which samples a client sees, and in which order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SYNTHETIC, TRAIN, make_data

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import DomainShardsSettings, make_partition
from fedgenbench.federated.data import SERVER, BatchOrder, augment, normalised
from fedgenbench.federated.method import Phase
from fedgenbench.federated.run import federated_data

BLACK = torch.tensor([-0.5], dtype=torch.float64)
sizes = st.lists(st.integers(1, 11), min_size=1, max_size=4)


def passes(epochs, **options):
    return Phase(epochs, lambda slots, batch: slots, **options)


def make_order(train=TRAIN, batch_size=4, black=None, round_=1, seed=5):
    return BatchOrder(make_data(black, train), batch_size, seed, round_)


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(1, 6), st.integers(1, 3))
def test_an_epoch_holds_every_sample_of_the_client_once(train, batch_size, epochs):
    order = make_order(train, batch_size)
    for client, size in enumerate(train):
        batches = list(order.batches(client, passes(epochs)))
        assert (
            len(batches) == order.steps(client, passes(epochs)) == epochs * -(-size // batch_size)
        )
        assert max(len(batch.y) for batch in batches) <= batch_size
        per_epoch = len(batches) // epochs
        expected = sorted(order.data.images(order.data.train[client]).flatten(1).tolist())
        for epoch in range(epochs):
            part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            assert sorted(torch.cat([batch.x for batch in part]).flatten(1).tolist()) == expected
            assert sorted(torch.cat([batch.row for batch in part]).tolist()) == [*range(size)]


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(1, 6), st.integers(1, 3), st.booleans(), st.integers(0, 2), st.data())
def test_stacked_batches_are_the_clients_own(train, batch_size, epochs, augmented, gumbels, data):
    order = make_order(train, batch_size, BLACK if augmented else None)
    clients = data.draw(
        st.lists(st.integers(0, len(train) - 1), min_size=1, max_size=len(train), unique=True)
    )
    phase = passes(epochs, gumbels=gumbels)
    own = {client: list(order.batches(client, phase)) for client in clients}
    steps = list(order.stacked(clients, phase))
    assert len(steps) == max(len(batches) for batches in own.values())
    for step, (batch, active) in enumerate(steps):
        assert batch.x.shape[:2] == (len(clients), batch_size)
        for row, client in enumerate(clients):
            going = step < len(own[client])
            assert (True if active is None else bool(active[row])) is going
            if not going:
                continue
            expected = own[client][step]
            size = len(expected.y)
            valid = torch.ones(batch_size) if batch.mask is None else batch.mask[row]
            assert valid.tolist() == [1] * size + [0] * (batch_size - size)
            for name in ("x", "y", "row", *(["gumbel"] if gumbels else [])):
                assert torch.equal(getattr(batch, name)[row, :size], getattr(expected, name))
            assert (batch.gumbel is None) is (expected.gumbel is None) is (not gumbels)


def test_equal_full_batches_need_no_mask():
    steps = list(make_order([8, 8, 8]).stacked([0, 1, 2], passes(2)))
    assert len(steps) == 4
    assert all(batch.mask is None and active is None for batch, active in steps)


def test_the_synthetic_images_are_everybodys_in_an_order_of_ones_own():
    order = make_order()
    phase = passes(1, on="synthetic")
    orders = {
        client: torch.cat([batch.row for batch in order.batches(client, phase)]).tolist()
        for client in (0, 1, SERVER)
    }
    assert all(sorted(own) == [*range(SYNTHETIC)] for own in orders.values())
    assert len({tuple(own) for own in orders.values()}) == 3
    first = next(order.batches(SERVER, phase))
    assert torch.equal(first.x, order.data.images(order.data.synthetic[first.row]))


def test_gumbel_draws_have_the_moments_of_their_distribution():
    order = make_order([4000])
    drawn = torch.cat([batch.gumbel for batch in order.batches(0, passes(1, gumbels=2))])
    assert drawn.shape == (4000, 2)
    # Euler's constant and π²/6, within five standard errors of 8,000 draws.
    assert abs(drawn.mean().item() - np.euler_gamma) < 0.075
    assert abs(drawn.var().item() - np.pi**2 / 6) < 0.25


def test_orders_differ_by_client_round_epoch_and_seed_but_never_by_call():
    def labels(client=0, epoch=0, **options):
        order = make_order([30, 30], **options)
        rows = torch.cat([batch.row for batch in order.batches(client, passes(epoch + 1))])
        return rows[30 * epoch :].tolist()

    base = labels()
    assert base == labels()
    others = labels(client=1), labels(epoch=1), labels(round_=2), labels(seed=6)
    assert all(base != other for other in others)


def test_augmentation_moves_no_batch_order():
    plain, augmented = (
        list(make_order(black=black).batches(0, passes(1))) for black in (None, BLACK)
    )
    left, right = (
        [torch.cat([batch[field] for batch in own]) for field in (0, 3)]
        for own in (plain, augmented)
    )
    assert torch.equal(left[1], right[1])
    assert not torch.equal(left[0], right[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_augmentation_is_a_crop_after_a_border_and_a_flip(seed):
    draws = np.random.default_rng(seed)
    images = draws.normal(size=(6, 5, 7, 2))
    black = np.array([-1.0, -2.0])
    moves = draws.integers(0, [9, 9, 2], (6, 3))
    actual = augment(torch.from_numpy(images), torch.from_numpy(moves), torch.from_numpy(black))
    for image, (top, left, flip), result in zip(images, moves, actual.numpy(), strict=True):
        framed = np.empty((13, 15, 2))
        framed[:] = black
        framed[4:-4, 4:-4] = image
        crop = framed[top : top + 5, left : left + 7]
        np.testing.assert_array_equal(result, crop[:, ::-1] if flip else crop)


def test_images_are_channels_first_and_normalised():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 2), np.uint8)
    x, black = normalised(pixels, [0.5, 0.25], [0.5, 0.2], "cpu")
    expected = (pixels / 255 - [0.5, 0.25]) / [0.5, 0.2]
    np.testing.assert_allclose(x, expected, atol=1e-6)
    np.testing.assert_allclose(black, [-1.0, -1.25])
    data = make_data()
    assert data.shape == (1, 6, 6)
    image = data.images(torch.tensor([4]))[0]
    assert torch.equal(image, data.x[4].permute(2, 0, 1))


def test_pooling_joins_the_training_sets_alone():
    data, pooled = make_data(), make_data().pooled()
    assert [len(rows) for rows in pooled.train] == [sum(TRAIN)]
    assert torch.equal(pooled.train[0], torch.cat(data.train))
    assert all(torch.equal(a, b) for a, b in zip(data.test, pooled.test, strict=True))


def test_a_client_without_images_to_be_scored_on_is_named():
    pictures, labels = np.zeros((8, 4, 4, 1), np.uint8), np.arange(8) % 2
    card = {
        "name": "toy",
        "title": "Toy",
        "sha256": "",
        "classes": ["a", "b"],
        "domains": ["u", "v"],
    }
    toy = Dataset(card, pictures, labels, pictures, labels, labels, labels)
    scheme = DomainShardsSettings(scheme="domain_shards", clients_per_domain=2, valid_fraction=0.4)
    dealt = make_partition(toy, scheme, 0)
    assert [len(client.valid) for client in dealt.clients] == [0, 0, 0, 0]
    said = "client 0 has no valid image to be scored on: raise partition.valid_fraction"
    with pytest.raises(UserError, match=said):
        federated_data(toy, dealt, [0.5], [0.5], False, "cpu", "valid")
