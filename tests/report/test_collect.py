"""What adapters, synthetic images and warm starts report, as rows; pictures, as a context names them."""

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.reports import save_report
from fedgenbench.report.collect import SYNTHESIS, _server_rows, client_domains, synthesis_frame
from fedgenbench.report.results import Picture
from fedgenbench.report.store import _unchanged, shown_pictures

ADAPTER = {
    "digest": "0123456789",
    "wall_seconds": 30.0,
    "images": 115,
    "classes": [0, 3, 4],
    "parameters": 43008,
    "adapter_bytes": 86016,
    "embedding_bytes": 30720,
    # 20 losses: a tenth is two of them.
    "history": [{"step": step, "loss": 1.0 / step} for step in range(1, 21)],
}
WARM = {
    "digest": "0123456789",
    "kind": "prompts",
    "images": 400,
    "wall_seconds": 12.0,
    "losses": [2.0, 1.0, 0.5],
}
EXAMINED = {
    "digest": "0123456789",
    "rows": [
        {"kind": "duplication", "client": 1, "name": "copied_any", "value": 0.05},
        {"kind": "likeness", "client": -1, "name": "classifier", "value": 0.9},
    ],
}


def values(tmp_path, content, kind, client, digest="0123456789"):
    save_report(tmp_path / "report.json", content, {})
    source = (str(tmp_path / "report.json"), digest, "exp", 2, kind, client)
    frame = synthesis_frame([source])
    assert list(frame) == list(SYNTHESIS)
    assert frame[["experiment", "seed"]].drop_duplicates().values.tolist() == [["exp", 2]]
    return {(r.kind, r.client, r.name): r.value for r in frame.itertuples()}


def test_an_adapters_report_becomes_rows(tmp_path):
    assert values(tmp_path, ADAPTER, "adapter", 4) == pytest.approx(
        {
            ("adapter", 4, "images"): 115,
            ("adapter", 4, "classes"): 3,
            ("adapter", 4, "parameters"): 43008,
            ("adapter", 4, "adapter_bytes"): 86016,
            ("adapter", 4, "embedding_bytes"): 30720,
            ("adapter", 4, "wall_seconds"): 30.0,
            ("adapter", 4, "first_loss"): (1 + 1 / 2) / 2,
            ("adapter", 4, "last_loss"): (1 / 19 + 1 / 20) / 2,
        }
    )


@pytest.mark.parametrize(("kind", "client"), [("images", 3), ("prompts", -1)])
def test_drawn_images_become_rows(tmp_path, kind, client):
    content = {"digest": "0123456789", "images": 200, "seconds_per_image": 0.2}
    content["wall_seconds"] = 41.0
    assert values(tmp_path, content, kind, client) == {
        (kind, client, "images"): 200,
        (kind, client, "seconds_per_image"): 0.2,
        (kind, client, "wall_seconds"): 41.0,
    }


def test_a_warm_start_is_named_by_its_images(tmp_path):
    assert values(tmp_path, WARM, "warm", -1) == {
        ("warm_prompts", -1, "images"): 400,
        ("warm_prompts", -1, "wall_seconds"): 12.0,
        ("warm_prompts", -1, "first_loss"): 2.0,  # three losses: a tenth is one of them
        ("warm_prompts", -1, "last_loss"): 0.5,
    }


def test_what_was_examined_is_kept_as_it_is(tmp_path):
    assert values(tmp_path, EXAMINED, "examined", -1) == {
        ("duplication", 1, "copied_any"): 0.05,
        ("likeness", -1, "classifier"): 0.9,
    }


def test_reports_of_other_settings_and_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"report\.json was made by other code or settings"):
        values(tmp_path, ADAPTER, "adapter", 0, digest="9999999999")
    with pytest.raises(UserError, match="unknown kind 'adaptor': use one of adapter, images"):
        values(tmp_path, ADAPTER, "adaptor", 0)


def test_a_report_of_the_same_place_is_refused(tmp_path):
    save_report(tmp_path / "a.json", WARM, {})
    save_report(tmp_path / "b.json", WARM | {"kind": "adapters"}, {})
    save_report(tmp_path / "c.json", WARM, {})
    sources = [
        (str(tmp_path / f"{name}.json"), "0123456789", "exp", 0, "warm", -1) for name in "abc"
    ]
    assert set(synthesis_frame(sources[:2])["kind"]) == {"warm_prompts", "warm_adapters"}
    with pytest.raises(UserError, match=r"c\.json is not the only one of its kind"):
        synthesis_frame(sources)


def test_a_domain_that_is_left_out_has_no_client():
    card = {"domains": ["ink", "oil", "wax"]}
    assert client_domains({"scheme": "domain"}, card, 1) == ["ink", "wax"]
    assert client_domains({"scheme": "domain"}, card, 0) == ["oil", "wax"]
    assert client_domains({"scheme": "domain"}, card) == ["ink", "oil", "wax"]


def test_without_reports_the_frame_is_empty():
    assert synthesis_frame([]).empty
    assert list(synthesis_frame([])) == list(SYNTHESIS)


def test_the_first_seeds_pictures_are_shown_and_have_to_be_the_same(tmp_path):
    paths, sources = {}, []
    for seed in (3, 4):
        paths[seed] = str(tmp_path / f"{seed}.png")
        (tmp_path / f"{seed}.png").write_bytes(b"picture" + bytes([seed]))
        save_report(
            tmp_path / f"{seed}.json", EXAMINED | {"pictures": {"grid": {"rows": [seed]}}}, {}
        )
        sources.append((str(tmp_path / f"{seed}.json"), "0123456789", "exp", seed, "examined", -1))
    asked = [("exp", seed, "grid", path) for seed, path in paths.items()]
    (shown,) = shown_pictures(asked, sources)
    assert _unchanged(dict(shown)) == Picture("exp", 3, "grid", paths[3], {"rows": [3]})
    (tmp_path / "3.png").write_bytes(b"another")
    with pytest.raises(UserError, match=r"3\.png is not what the runs were collected with"):
        _unchanged(dict(shown))


def test_what_a_server_reports_without_naming_clients_is_of_all_of_them():
    rows = _server_rows({"round": 2}, {"selection_share": [0.25, 0.5], "loss": 1.0})
    assert [(row["name"], row["client"], row["value"]) for row in rows] == [
        *(("selection_share", 0, 0.25), ("selection_share", 1, 0.5), ("loss", -1, 1.0)),
    ]
