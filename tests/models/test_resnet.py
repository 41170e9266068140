"""ResNet-18 against an independent implementation, and in the engine's ways of calling a model."""

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from fedgenbench.models import build
from fedgenbench.models.layers import BatchNorm

SHAPE = (3, 64, 64)


def images(count, size=64, seed=0):
    values = np.random.default_rng(seed).standard_normal((count, 3, size, size))
    return torch.from_numpy(values.astype(np.float32))


def names():
    """Prefixes of the reference's convolution and norm pairs, and of ours."""
    pairs = [("embedder.embedder", "stem", "norm")]
    for number in range(8):
        theirs, ours = f"encoder.stages.{number // 2}.layers.{number % 2}", f"blocks.{number}"
        pairs.append((f"{theirs}.layer.0", f"{ours}.conv1", f"{ours}.norm1"))
        pairs.append((f"{theirs}.layer.1", f"{ours}.conv2", f"{ours}.norm2"))
        if number in (2, 4, 6):
            pairs.append((f"{theirs}.shortcut", f"{ours}.project", f"{ours}.project_norm"))
    return pairs


@pytest.fixture(scope="module")
def reference():
    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        hidden_act="relu",
        downsample_in_first_stage=False,
    )
    return ResNetModel(config)


@pytest.fixture
def twins(reference):
    """Ours and the reference with the same weights and with running statistics of no special value."""
    ours = build("resnet18", SHAPE, 10, seed=3)
    generator = np.random.default_rng(1)
    with torch.no_grad():
        for module in ours.modules():
            if isinstance(module, BatchNorm):
                for tensor, low in ((module.weight, 0.5), (module.bias, -0.2)):
                    tensor.copy_(torch.from_numpy(generator.uniform(low, low + 1, tensor.shape)))
                for tensor, low in ((module.running_mean, -0.1), (module.running_var, 0.5)):
                    tensor.copy_(torch.from_numpy(generator.uniform(low, low + 1, tensor.shape)))
    mine, state = ours.state_dict(), {}
    for theirs, conv, norm in names():
        state[f"{theirs}.convolution.weight"] = mine[f"{conv}.weight"]
        for entry in ("weight", "bias", "running_mean", "running_var"):
            state[f"{theirs}.normalization.{entry}"] = mine[f"{norm}.{entry}"]
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return ours, reference


def test_parameters_are_counted_as_published():
    model = build("resnet18", (3, 224, 224), 10, seed=0)
    assert sum(p.numel() for p in model.parameters()) == 11_181_642
    assert [model.head.in_features, model.head.out_features] == [512, 10]


@pytest.mark.parametrize("size", [64, 96, 224])
def test_evaluation_agrees_with_the_reference(twins, size):
    ours, reference = twins
    x = images(2, size)
    with torch.no_grad():
        logits, features = ours.eval()(x)
        expected = reference.eval()(x).pooler_output.flatten(1)
    assert features.shape == (2, 512)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, expected @ ours.head.weight.T + ours.head.bias)


def test_training_gives_the_reference_s_gradients_and_statistics(twins):
    ours, reference = twins
    x = images(4)
    ours.train()(x)[1].square().sum().backward()
    reference.zero_grad()
    reference.train()(x).pooler_output.square().sum().backward()
    theirs = dict(reference.named_parameters()) | dict(reference.named_buffers())
    mine = dict(ours.named_parameters()) | dict(ours.named_buffers())
    for name, conv, norm in names():
        gradient = theirs[f"{name}.convolution.weight"].grad
        scale = gradient.abs().max()
        assert (mine[f"{conv}.weight"].grad - gradient).abs().max() < 1e-3 * scale
        for entry in ("running_mean", "running_var"):
            expected = theirs[f"{name}.normalization.{entry}"]
            torch.testing.assert_close(mine[f"{norm}.{entry}"], expected, rtol=1e-4, atol=1e-5)


def test_padding_leaves_no_trace(twins):
    ours, _ = twins
    x = images(5)
    start = {name: buffer.clone() for name, buffer in ours.named_buffers()}
    plain = ours.train()(x[:3])[0]
    after = {name: buffer.clone() for name, buffer in ours.named_buffers()}
    ours.load_state_dict(start, strict=False)
    mask = torch.tensor([1.0, 1, 1, 0, 0])
    padded = ours(x, mask)[0][:3]
    torch.testing.assert_close(padded, plain, rtol=1e-3, atol=1e-3)
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, after[name], rtol=1e-4, atol=1e-5)
        assert not torch.equal(buffer, start[name])


def test_the_seed_alone_decides_the_start():
    one, same, other = (build("resnet18", SHAPE, 10, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.weight"], other["stem.weight"])
    # He's normal distribution: variance 2 / (outputs · kernel area).
    for name, fan in (("stem", 64 * 49), ("blocks.7.conv2", 512 * 9), ("blocks.2.project", 128)):
        weight = one[f"{name}.weight"]
        assert weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
        assert abs(weight.mean().item()) < 4 * (2 / fan / weight.numel()) ** 0.5


def test_stacked_clients_agree_with_single_ones():
    models = [build("resnet18", SHAPE, 3, seed=seed).eval() for seed in (0, 1)]
    parameters, buffers = torch.func.stack_module_state(models)
    x = torch.stack([images(2, seed=0), images(2, seed=1)])

    def logits(own, state, x):
        return torch.func.functional_call(models[0], (own, state), (x,))[0]

    with torch.no_grad():
        together = torch.func.vmap(logits)(parameters, buffers, x)
        apart = torch.stack([model(x)[0] for model, x in zip(models, x, strict=True)])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
