"""What a file of classifiers may hold."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.models import build
from fedgenbench.systems.fedlmg.uploads import load, save

FACTS = {
    "client": 4,
    "model": "bn_cnn",
    "shape": [3, 16, 16],
    "classes": [0, 2],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("uploads") / "whole.safetensors"
    save(path, {"client4": build("bn_cnn", (3, 16, 16), 3, 0)}, {"client4": FACTS})
    return artifacts.load(path, "classifiers")[0]


def stored(arrays, facts, folder):
    artifacts.save(folder / "it.safetensors", "classifiers", arrays, {"client4": facts})
    return folder / "it.safetensors"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "bn_cm"}, "client 4: its architecture is 'bn_cm' is not known"),
        ({"classes": [3]}, "client 4: it names a class 3 of 3"),
        ({"std": [0.0] * 3}, "client4 says something impossible"),
        ({"mean": [0.5]}, "client 4: it has another number of means"),
        ({"shape": [3, 4, 4]}, "client 4: images of 4 pixels are too small"),
        ({"shape": [3, 10**9, 10**9]}, "client4 says something impossible"),
        ({"model": "mlp"}, "client 4 does not fit mlp with 3 classes"),
    ],
)
def test_facts_that_cannot_be_are_refused_with_the_client(whole, tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        load(stored(whole, FACTS | changes, tmp_path), 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_a_weight_that_is_not_finite_or_too_large_is_refused(whole, tmp_path, value):
    name = "client4/convs.0.weight"
    arrays = whole | {name: np.full_like(whole[name], value)}
    with pytest.raises(UserError, match=r"client 4: convs.0.weight (is not finite|has a root)"):
        load(stored(arrays, FACTS, tmp_path), 3)


def test_two_uploads_of_one_client_are_refused(whole, tmp_path):
    twice = whole | {name.replace("client4", "other"): a for name, a in whole.items()}
    artifacts.save(tmp_path / "two", "classifiers", twice, {"client4": FACTS, "other": FACTS})
    with pytest.raises(UserError, match="several uploads of client 4"):
        load(tmp_path / "two", 3)


ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.floats(allow_nan=False, allow_infinity=False),  # JSON has no others
    st.sampled_from(["mlp", "fedpac_cnn", "mini_vit", "mini_vgg", ""]),
    st.lists(st.integers(-1, 20), max_size=4),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    facts=st.dictionaries(st.sampled_from([*FACTS, "odd"]), ANY, max_size=3),
    dropped=st.sets(st.sampled_from([*FACTS, "head.weight", "convs.0.weight"]), max_size=1),
)
def test_a_file_is_taken_or_a_user_error(whole, tmp_path, facts, dropped):
    kept = {key: value for key, value in (FACTS | facts).items() if key not in dropped}
    arrays = {name: a for name, a in whole.items() if name.partition("/")[2] not in dropped}
    try:
        (upload,) = load(stored(arrays, kept, tmp_path), 3).values()
    except UserError as error:
        assert "upload" in str(error)  # noqa: PT017
    else:
        assert max(upload.classes, default=0) < 3
