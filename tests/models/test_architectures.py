"""FedLMG's client architectures: against torchvision's published ones, and how they train."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from fedgenbench.core.errors import UserError
from fedgenbench.models import build
from fedgenbench.models.imagenet import imagenet
from fedgenbench.models.layers import BatchNorm
from fedgenbench.models.registry import MODELS

# Parameters with 1000 classes; batch norms; torchvision's name of the last layer; the hash of
# torchvision 0.28's names and shapes (``layout``); its first three logits of ``probe``, with the
# weights of ``filled``, recorded from it.
PUBLISHED = {
    "resnet18": (11_689_512, 20, "fc", "5191d63ec3989592", (-7.598309, 11.244797, -10.776385)),
    "resnet34": (21_797_672, 36, "fc", "f8de2a1812ef85e4", (-179.68930, -111.95737, -9.4953108)),
    "mobilenet_v2": (
        *(3_504_872, 52, "classifier.1", "e3eb10f890f74c6e"),
        (3.2549927, 0.24812521, 0.65511990),
    ),
    "mobilenet_v3_small": (
        *(2_542_856, 34, "classifier.3", "8fee267f118ca2d7"),
        (0.11532545, 0.26955816, -0.21636650),
    ),
    "vgg16": (
        *(138_357_544, 0, "classifier.6", "ba63c2556d912509"),
        (-0.14198561, -1.0712179, 0.32721731),
    ),
    "shufflenet_v2": (2_278_604, 56, "fc", "c54ed350c00fa178", (194.22629, -135.57743, -54.680935)),
}
# Batch norms of the miniatures.
MINIATURES = {
    "mini_resnet": 13,
    "mini_resnet50": 19,
    "mini_mobilenet_v2": 16,
    "mini_mobilenet_v3": 16,
    "mini_shufflenet": 21,
    "mini_vgg": 0,
    "mini_vit": 0,
}
NEW = [*(name for name in PUBLISHED if name != "resnet18"), *MINIATURES]
QUICK = [name for name in PUBLISHED if name != "vgg16"]


def images(count, size=32, channels=3):
    values = np.random.default_rng(0).standard_normal((count, channels, size, size))
    return torch.from_numpy(values.astype(np.float32))


def outline(name, shape=(3, 224, 224), classes=1000):
    """The model without storage: shapes and counts, no numbers."""
    with torch.device("meta"):
        return build(name, shape, classes, seed=0)


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d | BatchNorm)]


def layout(name):
    """Names and shapes as torchvision has them; ResNet-18's written out, as ours differ."""
    shapes = {key: tuple(value.shape) for key, value in outline(name).state_dict().items()}
    for part in ("weight", "bias"):
        shapes[f"{PUBLISHED[name][2]}.{part}"] = shapes.pop(f"head.{part}")
    if name != "resnet18":
        return shapes
    shapes = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    widths = {"bn1": 64}
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            place = f"layer{stage}.{block}"
            inputs = width // 2 if block == 0 and stage > 1 else width
            shapes[f"{place}.conv1.weight"] = (width, inputs, 3, 3)
            shapes[f"{place}.conv2.weight"] = (width, width, 3, 3)
            widths |= {f"{place}.bn1": width, f"{place}.bn2": width}
            if inputs != width:
                shapes[f"{place}.downsample.0.weight"] = (width, inputs, 1, 1)
                widths[f"{place}.downsample.1"] = width
    for norm, width in widths.items():
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (width,)
        shapes[f"{norm}.num_batches_tracked"] = ()
    return shapes


def filled(name):
    """A state dict in torchvision's layout with reproducible numbers of a useful size."""
    generator, state = np.random.Generator(np.random.PCG64(5)), {}
    for key, shape in sorted(layout(name).items()):
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
            continue
        value = generator.random(shape, dtype=np.float32)
        if key.endswith("running_var"):
            value += 0.5
        elif len(shape) == 1:
            value = value + 0.5 if key.endswith("weight") else (value - 0.5) * 0.2
        else:
            value = (value - 0.5) * np.float32((24 / np.prod(shape[1:])) ** 0.5)
        state[key] = torch.from_numpy(value)
    return state


def probe():
    values = np.random.Generator(np.random.PCG64(6)).random((2, 3, 64, 64), dtype=np.float32)
    return torch.from_numpy(values - np.float32(0.5))


# What the networks are ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_batch_norms_are_as_published(name):
    model = outline(name)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name][0]
    assert len(norms(model)) == PUBLISHED[name][1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_torchvision_s(name):
    lines = "\n".join(f"{key} {shape}" for key, shape in sorted(layout(name).items()))
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == PUBLISHED[name][3]


@pytest.mark.parametrize("name", MINIATURES)
def test_miniatures_are_small(name):
    model = outline(name, (3, 32, 32), 10)
    assert 20_000 < sum(p.numel() for p in model.parameters()) < 250_000
    assert len(norms(model)) == MINIATURES[name]


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_every_batch_norm_takes_part_once(name, channels):
    size = 32 if name in MINIATURES else 224
    model = outline(name, (channels, size, size), 7)
    called = []
    for module in norms(model):
        module.register_forward_hook(lambda module, inputs, _: called.append((module, inputs[0])))
    logits, features = model(torch.empty(5, channels, size, size, device="meta"))
    assert logits.shape == (5, 7)
    assert features.shape == (5, model.head.in_features)
    assert {module for module, _ in called} == set(norms(model))
    assert len(called) == len(norms(model))
    assert all(x.shape[:2] == (5, module.num_features) for module, x in called)


@pytest.mark.parametrize("name", NEW)
def test_padding_is_refused(name):
    with pytest.raises(UserError, match=f"{MODELS[name][1]} trains one client at a time"):
        outline(name, (3, 32, 32), 10)(torch.empty(4, 3, 32, 32, device="meta"), torch.ones(4))


def test_patches_are_told_apart_by_their_positions_alone():
    model = build("mini_vit", (3, 32, 32), 10, seed=0).eval()
    x = images(2)
    moved = x.roll((8, 16), dims=(2, 3))  # whole patches
    with torch.no_grad():
        assert (model(x)[1] - model(moved)[1]).abs().max() > 1e-3
        model.positions.zero_()
        torch.testing.assert_close(model(x)[1], model(moved)[1], rtol=1e-4, atol=1e-5)


# How they start and train ---------------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name in NEW if name != "vgg16"])
def test_the_seed_alone_decides_the_start(name):
    shape = (3, 32, 32)
    one, same, other = (build(name, shape, 10, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(one[key], same[key]) for key in one)
    kernels = [key for key in one if key.endswith("weight") and one[key].ndim > 1]
    assert not any(torch.equal(one[key], other[key]) for key in kernels)


@pytest.mark.parametrize("name", ["mini_resnet", "mini_mobilenet_v3", "mini_vgg"])
def test_layers_start_from_he_s_normal_distribution(name):
    found = 0
    for part, module in build(name, (3, 32, 32), 10, seed=1).named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and part != "head":
            assert module.bias is None or not module.bias.any()
            if (count := module.weight.numel()) > 4000:
                std = (2 * len(module.weight) / count) ** 0.5
                assert module.weight.std().item() == pytest.approx(std, rel=0.05)
                found += 1
    assert found >= 3


@pytest.mark.parametrize("name", MINIATURES)
def test_miniatures_learn_eight_images_by_heart(name):
    model = build(name, (3, 32, 32), 10, seed=2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = images(8), torch.arange(8)
    before = torch.random.get_rng_state()
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x)[0], y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # Without dropout nothing is drawn: training depends on its arguments alone.
    assert torch.equal(torch.random.get_rng_state(), before)
    assert losses[0] > 1.8
    assert losses[-1] < 0.1


# ImageNet weights -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*QUICK, pytest.param("vgg16", marks=pytest.mark.slow)])
def test_weights_in_torchvision_s_layout_give_its_logits(name, tmp_path):
    state, head = filled(name), PUBLISHED[name][2]
    torch.save(state, tmp_path / "weights.pth")
    model = build(name, (3, 64, 64), 1000, seed=0).eval()
    fresh = model.head.weight.clone(), model.head.bias.clone()
    imagenet(model, tmp_path / "weights.pth")
    (tmp_path / "weights.pth").unlink()  # half a gigabyte for VGG-16
    assert torch.equal(model.head.weight, fresh[0])
    assert torch.equal(model.head.bias, fresh[1])
    if name != "resnet18":
        for key, value in model.state_dict().items():
            assert key.startswith("head.") or torch.equal(value, state[key])
    with torch.no_grad():
        model.head.weight.copy_(state[f"{head}.weight"])
        model.head.bias.copy_(state[f"{head}.bias"])
        logits = model(probe())[0]
    expected = torch.tensor(PUBLISHED[name][4])
    tolerance = 1e-3 * logits.std().item()
    torch.testing.assert_close(logits[0, :3], expected, rtol=1e-3, atol=tolerance)


def test_every_tensor_of_resnet18_is_loaded(tmp_path):
    state = filled("resnet18")
    torch.save(state, tmp_path / "weights.pth")
    model = build("resnet18", (3, 64, 64), 10, seed=0)
    imagenet(model, tmp_path / "weights.pth")
    # The values are all different, so equal sets of tensors mean that each has found its place.
    theirs = {v.numpy().tobytes() for k, v in state.items() if v.ndim and not k.startswith("fc.")}
    own = [v.numpy().tobytes() for k, v in model.state_dict().items() if not k.startswith("head.")]
    assert set(own) == theirs
    assert len(own) == len(theirs) == 100


@pytest.fixture(scope="module")
def state():
    return filled("mobilenet_v3_small")


@pytest.fixture
def small():
    return build("mobilenet_v3_small", (3, 64, 64), 5, seed=0)


def test_both_formats_and_old_files_give_the_same_weights(state, small, tmp_path):
    save_file(state, tmp_path / "weights.safetensors")
    imagenet(small, tmp_path / "weights.safetensors")
    old = build("mobilenet_v3_small", (3, 64, 64), 5, seed=0)
    counted = {key for key in state if key.endswith("num_batches_tracked")}
    torch.save({k: v for k, v in state.items() if k not in counted}, tmp_path / "old.pth")
    imagenet(old, tmp_path / "old.pth")
    assert len(counted) == 34
    for key, value in small.state_dict().items():
        assert key in counted or torch.equal(value, old.state_dict()[key])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features.4.block.2.fc1.bias": None}, "no key features.4.block.2.fc1.bias"),
        (
            {"features.1.block.0.0.weight": torch.zeros(16, 1, 5, 5)},
            r"features.1.block.0.0.weight has shape \(16, 1, 5, 5\); "
            r"MobileNetV3Small takes \(16, 1, 3, 3\)",
        ),
        ({"features.13.0.weight": torch.zeros(2)}, "features.13.0.weight is no part of"),
        ({"head.weight": torch.zeros(5, 1024)}, "head.weight is no part of"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named(state, small, tmp_path, change, words):
    changed = {key: value for key, value in (state | change).items() if value is not None}
    torch.save(changed, tmp_path / "weights.pth")
    before = {key: value.clone() for key, value in small.state_dict().items()}
    with pytest.raises(UserError, match=words):
        imagenet(small, tmp_path / "weights.pth")
    assert all(torch.equal(value, before[key]) for key, value in small.state_dict().items())


def test_grey_images_do_not_fit_weights_of_coloured_ones(state, tmp_path):
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"features.0.0.weight has shape \(16, 3, 3, 3\)"):
        imagenet(build("mobilenet_v3_small", (1, 64, 64), 5, seed=0), tmp_path / "weights.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_named(small, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(b"neither format")
    with pytest.raises(UserError, match=rf"weights.{suffix}: cannot be read"):
        imagenet(small, path)


def test_a_file_with_more_than_tensors_is_refused(state, small, tmp_path):
    torch.save({"state_dict": state}, tmp_path / "nested.pth")
    with pytest.raises(UserError, match="not a flat dictionary"):
        imagenet(small, tmp_path / "nested.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")  # a pickled object, which could run code
    with pytest.raises(UserError, match="cannot be read"):
        imagenet(small, tmp_path / "model.pth")


def test_what_has_no_file_or_no_weights_is_named(small, tmp_path):
    with pytest.raises(UserError, match=r"absent\.pth: no such file"):
        imagenet(small, tmp_path / "absent.pth")
    with pytest.raises(UserError, match="are read from"):
        imagenet(small, tmp_path / "weights.bin")
    with pytest.raises(UserError, match="MiniVGG has no ImageNet weights"):
        imagenet(build("mini_vgg", (3, 32, 32), 10, seed=0), tmp_path / "weights.pth")


def test_resnet_50_has_the_published_size_and_torchvision_s_names():
    model = outline("resnet50")
    assert sum(p.numel() for p in model.parameters()) == 25_557_032
    assert sum(isinstance(each, nn.BatchNorm2d) for each in model.modules()) == 53
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.0.bn3.running_mean"] == (2048,)
    assert shapes["head.weight"] == (1000, 2048)
    halving = model.get_submodule("layer2.0")
    assert (halving.conv1.stride, halving.conv2.stride) == ((1, 1), (2, 2))
