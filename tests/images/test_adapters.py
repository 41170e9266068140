"""An adapter on disk, and beside the base's weights."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_clients import assert_equal, bits, prediction, tuned, untrained

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.images.adapters import Adapter, attached, low_rank
from fedgenbench.images.memory import Batch


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


@pytest.fixture(scope="module")
def adapter(pipeline, tmp_path_factory):
    return tuned(pipeline, tmp_path_factory.mktemp("adapter"))[0]


def test_what_is_loaded_is_what_was_saved(adapter, tmp_path):
    adapter.save(tmp_path / "one")
    adapter.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    loaded = Adapter.load(tmp_path / "one")
    for field in dataclasses.fields(Adapter):
        if field.name not in ("tensors", "embeddings"):
            assert getattr(loaded, field.name) == getattr(adapter, field.name)
    assert_equal(loaded.tensors, adapter.tensors)
    assert torch.equal(loaded.embeddings, adapter.embeddings)
    assert {tensor.dtype for tensor in (*loaded.tensors.values(), loaded.embeddings)} == {
        torch.float16
    }


def test_its_bytes_are_those_of_the_matrices_and_the_embeddings(adapter):
    # The miniature of the tests: 7 blocks of 8 or 16 channels, prompts of 16 tokens of width 16.
    blocks = [8, 8, 8, 16, 16, 16, 16]
    # Both attentions have four projections; the second one's keys and values come from the prompt.
    counts = [2 * (8 * 2 * c) - 2 * 2 * c + 2 * 2 * 16 for c in blocks]
    assert len(adapter.tensors) == len(blocks) * 8 * 2
    assert adapter.adapter_bytes == 2 * sum(counts)
    assert adapter.embedding_bytes == 2 * len(adapter.classes) * 16 * 16


def test_a_layer_adds_the_scaled_product(pipeline):
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, layer.in_features, generator=generator)
    plain = layer(x).detach().numpy()
    with low_rank(pipeline.unet, 2, 3.0, ["to_q"], torch.float32) as parameters:
        for parameter in parameters.values():
            parameter.data.normal_(generator=generator)
        name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
        a, b = (parameters[f"{name}.lora_{part}.weight"].detach().numpy() for part in "AB")
        layer = pipeline.unet.get_submodule(name)
        found = layer(x).detach().numpy()
        assert sum(p.numel() for p in pipeline.unet.parameters() if p.requires_grad) == sum(
            p.numel() for p in parameters.values()
        )
    np.testing.assert_allclose(found, plain + 3.0 / 2 * x.numpy() @ a.T @ b.T, rtol=1e-4, atol=1e-4)


def test_an_error_inside_the_block_leaves_the_base_clean(pipeline, adapter):
    before, plain = bits(pipeline.unet), prediction(pipeline)
    with pytest.raises(ZeroDivisionError), attached(pipeline, adapter):
        _ = 1 / 0
    assert_equal(before, bits(pipeline.unet))
    assert torch.equal(prediction(pipeline), plain)


def test_an_adapter_of_another_width_is_refused_with_both_shapes(pipeline, adapter):
    before = bits(pipeline.unet)
    name = next(iter(adapter.tensors))
    wrong = adapter.tensors | {name: torch.zeros(2, 9, dtype=torch.float16)}
    with pytest.raises(UserError, match=r"client 3 does not fit.*\(2, 9\).*expected \(2, 8\)"):  # noqa: SIM117
        with attached(pipeline, dataclasses.replace(adapter, tensors=wrong)):
            pass
    assert_equal(before, bits(pipeline.unet))


def test_an_adapter_of_other_layers_is_refused(pipeline, adapter):
    name, *rest = adapter.tensors
    fewer = {key: adapter.tensors[key] for key in rest}
    with pytest.raises(UserError, match=rf"client 3 does not fit.*only one of .* has {name}"):  # noqa: SIM117
        with attached(pipeline, dataclasses.replace(adapter, tensors=fewer)):
            pass


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_not_finite_are_refused(adapter, value):
    name = list(adapter.tensors)[5]
    broken = adapter.tensors | {name: adapter.tensors[name] * value}
    with pytest.raises(UserError, match=rf"adapter of client 3: {name} is not finite"):
        dataclasses.replace(adapter, tensors=broken)
    with pytest.raises(UserError, match="client 3: embeddings is not finite"):
        dataclasses.replace(adapter, embeddings=adapter.embeddings * value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda a: {"tensors": {n: t.float() for n, t in a.tensors.items()}}, "is torch.float32"),
        (lambda a: {"tensors": {n: t * 0 + 3e4 for n, t in a.tensors.items()}}, "mean square"),
        (lambda a: {"rank": 3}, "of another rank than 3"),
        (lambda a: {"embeddings": a.embeddings[:1]}, "expected one .* for each class"),
        (lambda a: {"embeddings": a.embeddings[..., 0]}, "expected one .* for each class"),
        (lambda a: {"classes": (0,) * len(a.classes)}, "names a class twice"),
    ],
)
def test_what_no_client_can_have_tuned_is_refused(adapter, changes, said):
    with pytest.raises(UserError, match=f"adapter of client 3: .*{said}"):
        dataclasses.replace(adapter, **changes(adapter))


ANY_FACT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),  # no JSON, and refused when saved
    st.text(max_size=3),
    st.lists(st.integers()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    facts=st.dictionaries(
        st.sampled_from(["client", "rank", "alpha", "targets", "classes", "other"]), ANY_FACT
    ),
    dropped=st.sets(st.sampled_from(["embeddings", "client", "rank"])),
)
def test_a_file_is_an_adapter_or_a_user_error(adapter, tmp_path, facts, dropped):
    path = tmp_path / "adapter.safetensors"
    adapter.save(path)
    arrays, known = artifacts.load(path, "adapters")
    kept = {key: value for key, value in (known | facts).items() if key not in dropped}
    artifacts.save(path, "adapters", {n: a for n, a in arrays.items() if n not in dropped}, kept)
    try:
        loaded = Adapter.load(path)
    except UserError as error:
        assert "adapter" in str(error)  # noqa: PT017
    else:
        assert len(loaded.embeddings) == len(loaded.classes)
        assert loaded.rank == adapter.rank


def test_a_damaged_or_missing_file_is_named(adapter, tmp_path):
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(UserError, match=r"adapter.safetensors is missing or damaged"):
        Adapter.load(path)
    adapter.save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"adapter.safetensors is missing or damaged"):
        Adapter.load(path)


def test_another_kind_of_file_is_named(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "adapter.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"adapter.safetensors is no file of adapters"):
        Adapter.load(path)


@given(size=st.integers(1, 500), room=st.integers(1, 500))
def test_a_batch_halves_until_it_fits(size, room):
    batch = Batch(size, "work")

    def work():
        if batch.size > room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return batch.size

    assert batch.attempt(work) == batch.size <= room
    halvings = [size >> k for k in range(len(batch.notes) + 1)]
    assert batch.size == halvings[-1]
    assert all(each > room for each in halvings[:-1])
