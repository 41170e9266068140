import numpy as np
import pytest
import torch

from fedgenbench.core.checkpoint import Checkpoint, moments, restore_moments
from fedgenbench.core.errors import UserError

ARRAYS = {"second": np.arange(6, dtype=np.uint8).reshape(2, 3), "first": np.float64(0.1)}


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_what_was_put_comes_back_in_its_order(tmp_path):
    Checkpoint(tmp_path / "new" / "folder", "one").put("part", ARRAYS, {"seconds": 0.5})
    arrays, facts = Checkpoint(tmp_path / "new" / "folder", "one").get("part")
    assert list(arrays) == ["second", "first"]
    assert arrays["second"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["second"], ARRAYS["second"])
    assert arrays["first"] == 0.1
    assert facts == {"seconds": 0.5}


def test_tensors_keep_their_bits_and_are_aligned(tmp_path):
    store = Checkpoint(tmp_path, "one")
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).T
    store.put("part", {"one": torch.ones(1, dtype=torch.uint8), "values": values}, {})
    tensors, _ = store.tensors("part")
    assert torch.equal(tensors["values"], values)
    assert tensors["values"].data_ptr() % 16 == 0


def test_nothing_is_none(tmp_path):
    assert Checkpoint(tmp_path, "one").get("part") is None
    assert Checkpoint(tmp_path, "one").tensors("part") is None


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(b"half")])
def test_a_damaged_part_falls_back_to_the_one_before(tmp_path, damage, capsys):
    store = Checkpoint(tmp_path, "one")
    for turn in range(3):
        store.put("part", {"turn": np.full(4, turn)}, {"turn": turn})
    damage(tmp_path / "part.safetensors")
    arrays, facts = store.get("part")
    assert facts == {"turn": 1}
    np.testing.assert_array_equal(arrays["turn"], np.full(4, 1))
    assert "part.safetensors is damaged, and not used" in capsys.readouterr().err
    damage(tmp_path / "part.before.safetensors")
    assert store.get("part") is None


def test_a_writer_killed_between_two_names_leaves_the_part_before(tmp_path):
    store = Checkpoint(tmp_path, "one")
    store.put("part", {}, {"turn": 0})
    (tmp_path / "part.safetensors").rename(tmp_path / "part.before.safetensors")
    assert store.get("part") == ({}, {"turn": 0})


def test_another_identity_is_refused_by_name(tmp_path):
    Checkpoint(tmp_path, "one").put("part", ARRAYS, {})
    with pytest.raises(UserError, match=r"belongs to one, not to two: delete"):
        Checkpoint(tmp_path, "two").get("part")


def test_an_optimiser_goes_on_with_the_same_bits(tmp_path):
    def steps(weights, optimiser, count):
        for _ in range(count):
            optimiser.zero_grad()
            (weights**3).sum().backward()
            optimiser.step()

    def fresh():
        weights = torch.linspace(-1, 1, 5).requires_grad_(True)
        return weights, torch.optim.AdamW([weights], lr=0.1)

    unbroken, optimiser = fresh()
    steps(unbroken, optimiser, 5)
    weights, optimiser = fresh()
    steps(weights, optimiser, 2)
    store = Checkpoint(tmp_path, "one")
    store.put("part", {"weights": weights} | moments(optimiser), {})
    resumed, optimiser = fresh()
    tensors, _ = store.tensors("part")
    resumed.data.copy_(tensors["weights"])
    restore_moments(optimiser, tensors)
    steps(resumed, optimiser, 3)
    assert torch.equal(resumed, unbroken)
