"""Models as vectors and back, and what is refused on the way."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.core.errors import UserError
from fedgenbench.models import build
from fedgenbench.systems.pfedgpa.vectors import Layout, Normaliser


def model(shift=0.0, hidden=3):
    generator = torch.Generator().manual_seed(7)
    shapes = {"hidden.weight": (hidden, 2), "hidden.bias": (hidden,), "head.0.weight": (2, hidden)}
    state = {n: torch.randn(s, generator=generator) + shift for n, s in shapes.items()}
    return state | {"count": torch.tensor(4)}


def stacked(models):
    return {name: torch.stack([m[name] for m in models]) for name in models[0]}


def test_models_come_back_bit_by_bit_from_a_list_and_stacked():
    models = [model(k) for k in range(3)]
    layout = Layout.of(models[0])
    vectors = layout.flatten(models, [0, 1, 2])
    assert torch.equal(vectors, layout.flatten(stacked(models), [0, 1, 2]))
    assert vectors.shape == (3, layout.width) == (3, 15)
    back = layout.restore(vectors)
    for name, tensor in back.items():
        assert torch.equal(tensor, stacked(models)[name])
        assert tensor.untyped_storage().data_ptr() != vectors.untyped_storage().data_ptr()
    assert back.keys() == models[0].keys() - {"count"}


def test_the_order_is_by_name_whatever_the_dict_says():
    given, turned = model(), dict(reversed(model().items()))
    a, b = Layout.of(given), Layout.of(turned)
    assert list(a.pattern) == ["head.0.weight", "hidden.bias", "hidden.weight"]
    assert torch.equal(a.flatten([turned], [0]), b.flatten([given], [0]))
    assert torch.equal(a.signature, b.signature)


def test_chosen_layers_are_found_by_module_name_and_others_left_out():
    layout = Layout.of(model(), ["head"])
    assert list(layout.pattern) == ["head.0.weight"]
    assert list(Layout.of(model(), ["hidden.bias", "head.0"]).pattern) == [
        "head.0.weight",
        "hidden.bias",
    ]
    wide = model() | {"hidden.bias": torch.full((3,), torch.nan)}  # not generated, not looked at
    assert torch.equal(layout.flatten([wide], [0])[0], wide["head.0.weight"].flatten())


def test_an_unknown_layer_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"'hea'.*head, head.0, hidden\."):
        Layout.of(model(), ["hea"])


@pytest.mark.parametrize(
    "other", [model(hidden=4), {"head.0.weight": model()["head.0.weight"]}, {}]
)
def test_another_architecture_is_refused_by_client(other):
    with pytest.raises(UserError, match="client 9 is of another architecture"):
        Layout.of(model()).flatten([model(), other], [4, 9])


def test_stacked_models_of_another_architecture_are_refused():
    with pytest.raises(UserError, match="client 4 is of another architecture"):
        Layout.of(model()).flatten(stacked([model(hidden=4)] * 2), [4, 9])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("together", [True, False])
def test_what_is_not_finite_is_refused_by_client_and_tensor(value, together):
    models = [model(), model()]
    models[1]["hidden.bias"][2] = value
    with pytest.raises(UserError, match=r"client 9 .*hidden\.bias"):
        Layout.of(model()).flatten(stacked(models) if together else models, [4, 9])


def test_the_fedpac_net_has_the_widths_of_the_sheet():
    state = build("fedpac_cnn", (1, 28, 28), 10, 0).state_dict()
    assert Layout.of(state).width == 117_066
    assert Layout.of(state, ["head"]).width == 1_290
    assert Layout.of(state, ["hidden", "head"]).width == 103_818


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(-1e2, 1e2))
def test_normalisation_is_inverted_to_rounding(seed, scale, shift):
    generator = torch.Generator().manual_seed(seed)
    layout = Layout.of(model())
    vectors = torch.randn(5, layout.width, generator=generator) * scale + shift
    normaliser = Normaliser.fit(layout, vectors)
    again = Normaliser(layout, **normaliser.state())
    back = again.invert(normaliser.apply(vectors))
    torch.testing.assert_close(back, vectors, rtol=1e-5, atol=1e-5 * scale)


def test_the_centre_is_the_mean_upload_and_each_tensor_deviates_by_one():
    layout = Layout.of(model())
    vectors = torch.randn(40, layout.width, generator=torch.Generator().manual_seed(0))
    vectors = 100 * torch.arange(layout.width) + vectors * torch.arange(1, layout.width + 1)
    normaliser = Normaliser.fit(layout, vectors)
    torch.testing.assert_close(normaliser.centre, vectors.mean(0))
    for part, raw in zip(
        normaliser.apply(vectors).split(layout.sizes, 1),
        vectors.split(layout.sizes, 1),
        strict=True,
    ):
        assert part.mean(0).abs().max() < 1e-4
        assert (part.square().mean().sqrt() - 1).abs() < 1e-5
        assert part.std(0)[1] / part.std(0)[0] == pytest.approx(
            float(raw.std(0)[1] / raw.std(0)[0]), rel=1e-4
        )


def test_columns_are_normalised_as_they_are_in_the_whole():
    layout = Layout.of(model())
    vectors = torch.randn(4, layout.width, generator=torch.Generator().manual_seed(0))
    normaliser = Normaliser.fit(layout, vectors)
    part = slice(3, 9)
    assert torch.equal(normaliser.apply(vectors[:, part], part), normaliser.apply(vectors)[:, part])


@pytest.mark.parametrize("value", [0.0, 0.1, -3e4, 1e-30])
def test_a_constant_tensor_keeps_scale_one(value):
    layout = Layout.of(model())
    vectors = torch.randn(4, layout.width, generator=torch.Generator().manual_seed(0))
    vectors[:, 6:9] = value  # hidden.bias
    assert torch.tensor(layout.sizes)[0] == 6
    normaliser = Normaliser.fit(layout, vectors)
    assert normaliser.std[1] == 1
    normal = normaliser.apply(vectors)
    assert normal.isfinite().all()
    torch.testing.assert_close(normaliser.invert(normal), vectors)
