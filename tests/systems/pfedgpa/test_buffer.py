"""The replay buffer of uploads."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedgenbench.core.errors import UserError
from fedgenbench.systems.pfedgpa.buffer import JITTER, ReplayBuffer, draw
from fedgenbench.systems.pfedgpa.vectors import Layout

MODEL = {"a.weight": torch.zeros(2, 2), "head.bias": torch.zeros(2)}
LAYOUT = Layout.of(MODEL)


def rows(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 6)


def filled():
    buffer = ReplayBuffer(LAYOUT, 2)
    buffer.add(rows(50, 20), [5, 2])
    buffer.add(rows(51), [5])
    buffer.add(rows(21, 52), [2, 5])
    return buffer


def test_the_last_uploads_stay_in_the_order_of_clients_oldest_first():
    buffer = filled()
    assert buffer.vectors[:, 0].tolist() == [20, 21, 51, 52]
    assert buffer.clients.tolist() == [2, 2, 5, 5]


def test_parts_hold_the_oldest_of_each_client_or_all_but_one_client():
    buffer = filled()
    assert buffer.first(1).vectors[:, 0].tolist() == [20, 51]
    assert buffer.first(1).clients.tolist() == [2, 5]
    assert torch.equal(buffer.first(2).vectors, buffer.vectors)
    assert buffer.without(2).vectors[:, 0].tolist() == [51, 52]


def test_means_are_those_of_each_client_in_the_order_asked_for():
    assert filled().means([5, 2])[:, 0].tolist() == [51.5, 20.5]


def test_later_changes_of_an_upload_do_not_reach_the_buffer():
    buffer, upload = ReplayBuffer(LAYOUT, 2), torch.zeros(1, 6)
    buffer.add(upload, [0])
    upload += 1
    assert not buffer.vectors.any()


def test_it_comes_back_from_a_file_and_goes_on_alike(tmp_path):
    buffer = filled()
    save_file(buffer.state(), tmp_path / "buffer.safetensors")
    again = ReplayBuffer.load(LAYOUT, 2, load_file(tmp_path / "buffer.safetensors"))
    for one in (buffer, again):
        one.add(rows(22, 70), [2, 7])
    assert torch.equal(buffer.vectors, again.vectors)
    assert torch.equal(buffer.clients, again.clients)


def test_another_architecture_is_refused():
    with pytest.raises(UserError, match="client 3 has 5 numbers, the server's buffer holds 6"):
        filled().add(torch.zeros(1, 5), [3])
    turned = Layout.of({"a.weight": torch.zeros(2), "head.bias": torch.zeros(2, 2)})
    assert turned.width == LAYOUT.width
    with pytest.raises(UserError, match="another architecture"):
        ReplayBuffer.load(turned, 2, filled().state())


def test_a_draw_is_of_stored_rows_with_jitter_and_repeats_with_its_seed():
    stored = filled().vectors
    first, second = (draw(stored, 400, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    noise, nearest = (first[:, None] - stored).abs().amax(2).min(1)
    assert set(nearest.tolist()) == {0, 1, 2, 3}
    assert noise.max() < 6 * JITTER
    spread = (first - stored[nearest]).std()
    assert 0.9 * JITTER < spread < 1.1 * JITTER


def test_the_newest_of_each_client_and_the_buffer_without_one():
    buffer = filled()
    vectors, clients = buffer.latest()
    assert clients == [2, 5]
    assert vectors[:, 0].tolist() == [21, 52]
    rest = buffer.without(2)
    assert rest.vectors[:, 0].tolist() == [51, 52]
    assert rest.clients.tolist() == [5, 5]
    assert buffer.clients.tolist() == [2, 2, 5, 5]
