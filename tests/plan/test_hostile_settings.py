"""Whatever stands in params.yaml, it is settings or one error that a user is meant to read."""

import copy

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedgenbench.core.errors import UserError
from fedgenbench.plan.settings import Settings, load

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def places(tree, way=()):
    """The addresses of all that a content holds."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*way, key)
        if isinstance(value, dict | list):
            yield from places(value, (*way, key))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_value_in_the_place_of_another(alone, raw, tmp_path, data):
    content = copy.deepcopy(raw if len(raw["experiments"]) == 1 else alone("fashion_mnist-10"))
    *way, last = data.draw(st.sampled_from(sorted(places(content), key=str)))
    place = content
    for key in way:
        place = place[key]
    place[last] = data.draw(ANY)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    try:
        scale, loaded = load(path)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert isinstance(loaded[scale], Settings)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=40))
def test_any_text(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(path)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017
