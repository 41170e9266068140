"""Which samples a client sees, and in which order."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TRAIN, make_data

from fedgenbench.federated.data import BatchOrder, augment, normalised

BLACK = torch.tensor([-0.5], dtype=torch.float64)
sizes = st.lists(st.integers(1, 11), min_size=1, max_size=4)


def make_order(train=TRAIN, batch_size=4, black=None, round_=1, seed=5):
    return BatchOrder(make_data(black, train), batch_size, seed, round_)


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(1, 6), st.integers(1, 3))
def test_an_epoch_holds_every_sample_of_the_client_once(train, batch_size, epochs):
    order = make_order(train, batch_size)
    for client, size in enumerate(train):
        batches = list(order.batches(client, epochs))
        assert len(batches) == order.steps(client, epochs) == epochs * -(-size // batch_size)
        assert max(len(y) for _, y in batches) <= batch_size
        per_epoch = len(batches) // epochs
        expected = sorted(order.data.images(order.data.train[client]).flatten(1).tolist())
        for epoch in range(epochs):
            part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            assert sorted(torch.cat([x for x, _ in part]).flatten(1).tolist()) == expected


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(1, 6), st.integers(1, 3), st.booleans(), st.data())
def test_stacked_batches_are_the_clients_own(train, batch_size, epochs, augmented, data):
    order = make_order(train, batch_size, BLACK if augmented else None)
    clients = data.draw(
        st.lists(st.integers(0, len(train) - 1), min_size=1, max_size=len(train), unique=True)
    )
    own = {client: list(order.batches(client, epochs)) for client in clients}
    steps = list(order.stacked(clients, epochs))
    assert len(steps) == max(len(batches) for batches in own.values())
    for step, (x, y, mask, active) in enumerate(steps):
        assert x.shape[:2] == (len(clients), batch_size)
        for row, client in enumerate(clients):
            going = step < len(own[client])
            assert (True if active is None else bool(active[row])) is going
            if not going:
                continue
            expected_x, expected_y = own[client][step]
            valid = torch.ones(batch_size) if mask is None else mask[row]
            assert valid.tolist() == [1] * len(expected_y) + [0] * (batch_size - len(expected_y))
            assert torch.equal(x[row, : len(expected_y)], expected_x)
            assert torch.equal(y[row, : len(expected_y)], expected_y)


def test_equal_full_batches_need_no_mask():
    steps = list(make_order([8, 8, 8]).stacked([0, 1, 2], 2))
    assert len(steps) == 4
    assert all(mask is None and active is None for _, _, mask, active in steps)


def test_orders_differ_by_client_round_epoch_and_seed_but_never_by_call():
    def labels(client=0, epoch=0, **options):
        return make_order([30, 30], **options).epoch(client, epoch)[0].tolist()

    base = labels()
    assert base == labels()
    shift = [row - 30 for row in labels(client=1)]
    assert all(
        base != other for other in (shift, labels(epoch=1), labels(round_=2), labels(seed=6))
    )


def test_augmentation_moves_no_batch_order():
    plain, augmented = make_order().epoch(0, 0), make_order(black=BLACK).epoch(0, 0)
    assert torch.equal(plain[0], augmented[0])
    assert plain[1] is None
    assert augmented[1].shape == (TRAIN[0], 3)


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
