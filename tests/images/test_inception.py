"""The Inception network: what it reads, how it enlarges, and values that others published."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.sources import missing
from fedgenbench.images.distances import frechet_distance, kernel_distance
from fedgenbench.images.inception import (
    EPSILON,
    enlarged,
    features,
    inception,
    network,
    read_weights,
)

RAW = Path(__file__).parents[2] / "data/raw"


def convolutions(layers):
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]


def archive(path, arrays):
    """A TorchScript file in small: its arrays as numbered members, beside things nobody reads."""
    with zipfile.ZipFile(path, "w") as pack:
        for number, array in enumerate(arrays):
            pack.writestr(f"module/data/{number}", np.asarray(array, "<f4").tobytes())
        pack.writestr("module/data.pkl", b"cos\nsystem\n(S'exit 1'\ntR.")
        pack.writestr("module/code/__torch__/net.py", "raise SystemExit")
    return path


def made_up():
    """The network with weights drawn so that its features neither vanish nor explode."""
    layers, draw = network(), stream(0, "weights")
    for layer in convolutions(layers):
        shape = layer.weight.shape
        drawn = draw.normal(size=shape, scale=(2 / layer.weight[0].numel()) ** 0.5)
        layer.weight.copy_(torch.from_numpy(drawn))
        layer.bias.zero_()
    return layers


def test_weights_are_read_in_order_and_take_up_their_normalisation(tmp_path):
    layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.Conv2d(2, 1, (1, 2))))
    layers.requires_grad_(False)
    # Variances 4 and 1 with the epsilon: 3x + 1 becomes (3x - 2) / 2 + 1 and so on.
    first = [[3, 5], [1, 0], [2, 0], [4 - EPSILON, 1 - EPSILON]]
    second = [[[[1, 10]], [[0, 100]]], [7], [0], [1 - EPSILON]]
    read_weights(layers, archive(tmp_path / "weights.pt", [*first, *second]))
    found = layers(torch.tensor([[[[2.0, 4.0]]]])).flatten()
    # Two channels (3, 6) and (10, 20): 3 + 10·6 + 100·20 + 7.
    assert found.tolist() == pytest.approx([2070])


def test_an_archive_of_another_network_is_refused(tmp_path):
    layers = nn.Conv2d(1, 2, 1).requires_grad_(False)
    with pytest.raises(UserError, match=r"w\.pt holds 3 arrays, not 4"):
        read_weights(layers, archive(tmp_path / "w.pt", [[0], [0], [0]]))
    with pytest.raises(UserError, match=r"convolution 0 have \[2, 2, 1, 2\] numbers"):
        read_weights(layers, archive(tmp_path / "w.pt", [[0, 0], [0, 0], [0], [0, 0]]))


def test_the_network_has_the_shapes_of_the_published_one():
    found = convolutions(network())
    assert len(found) == 94
    assert sum(layer.weight.numel() for layer in found) == 21_751_136
    # The first block with rows of seven, in the order of the file.
    assert [tuple(layer.weight.shape) for layer in found[30:40]] == [
        *((192, 768, 1, 1), (128, 768, 1, 1), (128, 128, 1, 7), (192, 128, 7, 1)),
        *((128, 768, 1, 1), (128, 128, 7, 1), (128, 128, 1, 7), (128, 128, 7, 1)),
        *((192, 128, 1, 7), (192, 768, 1, 1)),
    ]
    pools = [m for m in network().modules() if isinstance(m, nn.AvgPool2d)]
    assert [pool.count_include_pad for pool in pools] == [False] * 8


def test_making_the_network_draws_from_no_generator():
    before = torch.random.get_rng_state()
    network()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_features_are_equal_whatever_stands_beside_an_image():
    images = stream(0, "images").integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    layers = made_up()
    found = features(layers, images)
    assert found.shape == (2, 2048)
    assert found.min() >= 0
    assert found.std(0).max() > 0
    assert torch.equal(features(layers, images), found)
    assert torch.allclose(features(layers, images[::-1].copy(), batch=1).flip(0), found, rtol=1e-3)
    assert features(layers, images[:0]).shape == (0, 2048)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)],
)
def test_images_of_another_kind_are_refused(images):
    with pytest.raises(UserError, match=r"uint8 \[N, H, W, 3\], not (uint8|float64) \[.*8, .\]"):
        features(network(), images)


def test_an_image_is_enlarged_from_its_corner():
    found = enlarged(torch.tensor([[[[0.0, 299.0]]]]))
    assert found.shape == (1, 1, 299, 299)
    assert found[0, 0, 0].tolist() == pytest.approx([min(2 * i, 299) for i in range(299)])
    assert torch.equal(found[0, 0, 0], found[0, 0, 298])
    same = torch.arange(299.0 * 299).reshape(1, 1, 299, 299)
    assert torch.equal(enlarged(same), same)


@pytest.mark.parametrize("size", [(32, 32), (20, 50), (400, 301)])
def test_an_image_is_enlarged_as_by_a_shifted_grid(size):
    height, width = size
    images = torch.from_numpy(stream(0, "image").random((2, 3, height, width)))
    shift = torch.tensor([[1, 0, 1 / width - 1 / 299], [0, 1, 1 / height - 1 / 299]]).double()
    grid = F.affine_grid(shift.expand(2, 2, 3), [2, 3, 299, 299], align_corners=False)
    wanted = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    assert torch.allclose(enlarged(images), wanted, atol=1e-6)


def test_absent_and_altered_weights_are_named(tmp_path):
    with pytest.raises(UserError, match=r"Inception-v3 .* is not in .*default_1\.pt there by hand"):
        inception(tmp_path)
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception/default_1.pt").write_bytes(b"other weights")
    with pytest.raises(
        UserError, match=r"default_1\.pt is truncated or altered: delete .*SOURCE\.json and run"
    ):
        inception(tmp_path)


published = pytest.mark.skipif(
    missing("inception", RAW) is not None, reason="the published weights are not in data/raw"
)


@published
@pytest.mark.slow
def test_the_values_in_the_documentation_of_torchmetrics():
    # Its examples draw 2 × 100 images after seed 123 and after a network with a last layer drew its
    # first weights: FID of 64 early features 12.7202, KID over 100 pairs of subsets 0.0337 ± 0.0023.
    layers, generator = inception(RAW), torch.Generator().manual_seed(123)
    drawn = sum(layer.weight.numel() for layer in convolutions(layers)) + 2049 * 1008
    torch.empty(drawn).uniform_(generator=generator)
    early, late = [], []
    layers[3].register_forward_hook(lambda _, __, output: early.append(output.mean((2, 3))))
    for limits in ((0, 200), (100, 255)):
        shape = (100, 3, 299, 299)
        images = torch.randint(*limits, shape, dtype=torch.uint8, generator=generator)
        late.append(features(layers, images.permute(0, 2, 3, 1).numpy(), batch=10))
    assert frechet_distance(torch.cat(early[:10]), torch.cat(early[10:])) == pytest.approx(
        12.7202, abs=1e-4
    )
    distances = []
    for _ in range(100):
        rows = [torch.randperm(100, generator=generator)[:50] for _ in range(2)]
        distances.append(kernel_distance(late[0][rows[0]], late[1][rows[1]]))
    assert np.mean(distances) == pytest.approx(0.0337, abs=1e-4)
    assert np.std(distances) == pytest.approx(0.0023, abs=1e-4)


@published
@pytest.mark.slow
def test_fid_grows_with_noise():
    layers, draw = inception(RAW), stream(0, "noise")
    colours = draw.integers(40, 216, (16, 2, 1, 1, 3))
    slope = np.linspace(0, 1, 32)[None, :, None, None]
    images = (colours[:, 0] * slope + colours[:, 1] * (1 - slope)).repeat(32, 2)
    noise = draw.normal(size=images.shape)
    found = [
        features(layers, (images + level * noise).clip(0, 255).astype(np.uint8))
        for level in (0, 8, 32)
    ]
    none, little, much = (frechet_distance(found[0], other) for other in found)
    assert none == pytest.approx(0, abs=1e-6)
    assert 10 < little < much
