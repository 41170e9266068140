"""Layers of settings become one."""

from fedgenbench.plan.merging import merge


def test_overlays_merge_key_by_key():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    overlay = {"a": {"c": [3]}, "e": {"f": 1}}
    assert merge(base, overlay) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": {"f": 1}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_another_partition_scheme_replaces_the_old_one():
    base = {"partition": {"scheme": "fedpac", "clients": 3, "groups": [[0]]}}
    same = {"partition": {"scheme": "fedpac", "clients": 4}}
    other = {"partition": {"scheme": "domain"}}
    assert merge(base, same)["partition"]["groups"] == [[0]]
    assert merge(base, other)["partition"] == {"scheme": "domain"}
