from dataclasses import replace

import synthetic_fedlmg
import synthetic_warmfed

from fedgenbench.systems.fedlmg.contact import contact_sheets


def test_guided_images_stand_beside_those_of_prompts_and_real_ones(tmp_path):
    pictures = synthetic_fedlmg.pictures(tmp_path)
    grid = synthetic_fedlmg.results(tmp_path / "jobs", seeds=1, pictures=pictures)
    (sheet,) = contact_sheets(grid)
    assert sheet.id == f"fedlmg_{synthetic_fedlmg.EMOJI}"
    assert len(sheet.clients) == 3
    client = sheet.clients[1]
    assert client.columns[:2] == ["prompts alone", "guided"]
    assert len(client.columns) == len(synthetic_fedlmg.SHOWN)
    assert len(client.rows) == 4
    label, (prompts, guided, *_) = client.rows[2]
    # Red by client, green by class, blue by guidance.
    place = list(synthetic_fedlmg.SHOWN).index("main")
    assert prompts.image[0, 0].tolist() == [60, 120, 0]
    assert guided.image[0, 0].tolist() == [60, 120, 30 * place]
    assert guided.words == f"{client.name}, {label}: guided"


def test_real_images_come_first_where_a_client_has_one(tmp_path):
    pictures = synthetic_fedlmg.pictures(tmp_path)
    grid = synthetic_fedlmg.results(tmp_path / "jobs", seeds=1, pictures=pictures)
    entry = grid.experiments[synthetic_fedlmg.EMOJI]
    name, label = entry["fedlmg"]["names"][0], entry["fedlmg"]["classes"][1]
    real, *_ = synthetic_warmfed.pictures(tmp_path / "others")
    for row, other in zip(real.says["rows"], [name, *"abcde"], strict=False):
        row["name"] = other
    real.says["columns"][4] = label
    pictures.append(replace(real, experiment=synthetic_fedlmg.EMOJI))
    grid = synthetic_fedlmg.results(tmp_path / "jobs", seeds=1, pictures=pictures)
    (sheet,) = contact_sheets(grid)
    first, second, _ = sheet.clients
    assert first.columns[:2] == ["real", "prompts alone"]
    assert [tiles[0] is not None for _, tiles in first.rows] == [False, True, False, False]
    assert second.columns[0] == "prompts alone"
