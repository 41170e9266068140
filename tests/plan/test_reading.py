"""Files that are no settings, and what YAML may abbreviate."""

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml, typed


def read(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path)


LEVELS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 8))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("title: Müller\n".encode("latin-1"), "is not UTF-8 text (line 1)"),
        ("a: 1\n".encode("utf-16"), "is not UTF-8 text (line 1)"),
        ("a: 1\n".encode("utf-16-le"), "is not UTF-8 text (it has zero bytes)"),
        ("a: &a [*a]\n", "an anchor contains itself"),
        ("a: &a {b: *a}\n", "an anchor contains itself"),
        (f"l0: &l0 [x, x]\n{LEVELS}\n", "aliases stand for more than 100,000 values"),
        ("a: 1\nb: 2\na: 3\n", "'a' stands twice"),
        ("a: {b: 1, b: 2}\n", "'b' stands twice"),
        ("{<<: {a: 1}, <<: {b: 1}}\n", "'<<' stands twice"),
        ("? [a]\n: 1\n", "a key must be a word or a number"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: !!int x\n", "is not valid YAML"),
        ("[" * 5000, "nested too deeply"),
        ("a: [1", "is not valid YAML"),
    ],
)
def test_what_is_no_settings_file_is_told_in_a_sentence(tmp_path, content, words):
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert words in str(caught.value)
    assert str(tmp_path / "params.yaml") in str(caught.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(UserError, match=r"params\.yaml cannot be read: Is a directory"):
        read_yaml(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"nowhere\.yaml is missing: run in the repository"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_merge_keys_and_a_byte_order_mark_are_understood(tmp_path):
    text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\nown: {<<: [*base, *more], b: 5}\n"
    assert read(tmp_path, text.encode("utf-8-sig")) == {
        "base": {"a": 1, "b": 2},
        "more": {"c": 3},
        "own": {"a": 1, "b": 5, "c": 3},
    }
    # A mapping that merges one may be merged itself.
    text = "a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b}\n"
    assert read(tmp_path, text) == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}}


def test_numbers_inside_a_command_lines_lists_are_numbers():
    given = {"seeds": ["0", "7"], "a": {"lr": "1e-3", "on": "true", "none": "null", "title": "x 1"}}
    wanted = {"seeds": [0, 7], "a": {"lr": 0.001, "on": True, "none": None, "title": "x 1"}}
    assert typed(given) == wanted
