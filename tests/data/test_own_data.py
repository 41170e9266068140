"""A folder of pictures becomes a data set, and the docs say how: what they show is run here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from placed_folders import picture, rows, run

from fedgenbench.core.errors import UserError
from fedgenbench.data import sources
from fedgenbench.data.readers import folders

REPOSITORY = Path(__file__).parents[2]
SECTION = (
    (REPOSITORY / "docs/data.md").read_text(encoding="utf-8").split("## Your own data")[1]
).split("\n## ")[0]
SOURCE, DATASET, EXPERIMENT = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
SHOWN = re.findall(r"```python\n(.*?)```\s+(?:[^`]*?)```\n(.*?)```", SECTION, re.DOTALL)
SPEC = yaml.safe_load(SOURCE)["my_photos"]
DOMAINS, CLASSES = SPEC["facts"]["domains"], SPEC["classes"]
FILES = [f"{d}/{k}/{i:02d}.png" for d in DOMAINS for k in CLASSES for i in range(20)]


def place(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(name))


@pytest.fixture
def mine(set_table):
    """``mine(**changes)`` makes the docs' entry, with other facts or keys, the only one."""

    def replace(facts=None, **changes):
        spec = SPEC | {"facts": facts or SPEC["facts"]} | changes
        set_table({"my_photos": sources._complete("my_photos", spec)})

    return replace


@pytest.fixture
def repository(tmp_path):
    """A copy of what a user edits and runs, with the docs' entries and pictures."""
    skip = shutil.ignore_patterns("__pycache__")
    for part in ("src", "workflow_scripts", "models"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=skip)
    with open(tmp_path / "src/fedgenbench/data/sources.yaml", "a", encoding="utf-8") as file:
        file.write("\n" + SOURCE)
    params = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    for head, block in (("datasets", DATASET), ("experiments", EXPERIMENT)):
        assert params.count(f"\n{head}:\n") == 1
        params = params.replace(f"\n{head}:\n", f"\n{head}:\n{block}")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    place(tmp_path / "data/raw/my_photos", FILES)
    return tmp_path


def python(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_docs_code_prints_what_the_docs_show(repository):
    assert len(SHOWN) == 2
    for code, output in SHOWN:
        assert python(repository, code) == output
    assert (repository / "my_partition.json").is_file()


def test_the_docs_experiment_is_planned(repository):
    code = (
        "from fedgenbench.plan.settings import load; from fedgenbench.plan.grid import Grid\n"
        "grid = Grid(load()[1]['embedded'])\n"
        "runs = [r for r in grid.of_kind('federate') if r.experiment == 'my_photos' and r.seed == 0]\n"
        "print(*sorted(r.name for r in runs))"
    )
    assert python(repository, code) == "centralised fedavg fedbn local\n"


def test_domains_and_classes(mine, tmp_path):
    mine()
    place(tmp_path / "raw/my_photos", FILES)
    data = run("my_photos", tmp_path / "raw", tmp_path / "out")
    assert data.card["histograms"] == {"train": [[16] * 3] * 2, "test": [[4] * 3] * 2}
    for part in ("train", "test"):
        for domain, label, name in rows(data, part):
            assert name.split("/")[:2] == [domain, label]
    assert data.card["counts"] == {part: SPEC["facts"][part] for part in ("train", "test")}


def test_classes_alone(mine, tmp_path):
    mine(facts={"train": 24, "test": 6})
    names = [f"{k}/{i}.png" for k in CLASSES for i in range(10)]
    place(tmp_path / "raw/my_photos", names)
    data = run("my_photos", tmp_path / "raw", tmp_path / "out")
    assert data.train_domains is data.card["domains"] is None
    assert data.card["histograms"] == {"train": [[8] * 3], "test": [[2] * 3]}
    for part in ("train", "test"):
        files, labels = data.card[f"{part}_files"], getattr(data, f"{part}_labels")
        assert [name.split("/")[0] for name in files] == [CLASSES[label] for label in labels]
    assert sorted(data.card["train_files"] + data.card["test_files"]) == sorted(names)


@pytest.mark.parametrize("domains", [DOMAINS, []])
def test_a_set_that_comes_split(mine, tmp_path, domains):
    mine(facts={"train": 9, "test": 3} | ({"domains": domains} if domains else {}))
    inner = [f"{d}/{k}" for d in domains for k in CLASSES] or CLASSES
    names = {"train": [f"train/{place}/{i}.png" for place in inner for i in range(3)]}
    names["test"] = [f"test/{place}/9.png" for place in inner]
    place(tmp_path / "raw/my_photos", names["train"] + names["test"])
    data = run("my_photos", tmp_path / "raw", tmp_path / "out")
    assert {part: data.card[f"{part}_files"] for part in names} == names
    shutil.rmtree(tmp_path / "raw/my_photos/test")
    with pytest.raises(UserError, match="has a folder train and not the other of train and test"):
        run("my_photos", tmp_path / "raw", tmp_path / "other")


def test_a_class_may_be_called_train(mine, tmp_path):
    mine(facts={"train": 24, "test": 6}, classes=["train", "test"])
    place(tmp_path, [f"{k}/{i}.png" for k in ("train", "test") for i in range(5)])
    found = folders.listing("my_photos", tmp_path).rows
    assert [len(found[part]) for part in ("train", "test")] == [8, 2]


def test_what_is_no_class_is_said(mine, tmp_path, caplog):
    mine()
    place(tmp_path / "raw/my_photos", [*FILES, "studio/cherry/0.png", "garden/pear/old/0.png"])
    (tmp_path / "raw/my_photos/studio/.ipynb_checkpoints").mkdir()
    data = run("my_photos", tmp_path / "raw", tmp_path / "out")
    assert data.card["notes"][1] == (
        "Folders that are no class were not read: pear/old, studio/cherry."
    )
    assert data.card["notes"][1] in caplog.text


def test_what_is_not_there_is_said_with_the_layout_and_the_entry(mine, tmp_path):
    mine()
    with pytest.raises(UserError) as caught:
        run("my_photos", tmp_path / "raw", tmp_path / "out")
    assert "My photos is not in" in str(caught.value)
    assert "(no studio, garden)" in str(caught.value)
    assert "`my_photos` in src/fedgenbench/data/sources.yaml" in str(caught.value)
    assert str(caught.value).endswith(
        "  data/raw/my_photos/\n    {studio,garden}/{apple,pear,plum}/*.png, *.jpg and so on"
    )
    place(tmp_path / "raw/my_photos", FILES)
    for name in ("apple", "plum"):
        shutil.rmtree(tmp_path / "raw/my_photos/garden" / name)
    with pytest.raises(UserError, match=r"no folder .*garden/apple, .*garden/plum\. The layout is"):
        run("my_photos", tmp_path / "raw", tmp_path / "out")


def test_an_unknown_set_is_told_where_to_stand():
    with pytest.raises(
        UserError, match=r"add an entry for yours to src/.*/sources\.yaml \(docs/dat"
    ):
        sources.source_of("my_photos")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edge": None}, "my_photos.edge: Input should be a valid integer"),
        ({"edge": 30}, "my_photos.edge: Input should be a multiple of 4"),
        ({"colour": "red"}, "my_photos.colour: Extra inputs are not permitted"),
        ({"classes": [0, 1]}, r"my_photos.classes.0: .* string \(quote names that look like numb"),
        ({"classes": ["a/b"]}, "my_photos.classes.0: String should match pattern"),
        ({"classes": []}, "my_photos.classes: List should have at least 1 item"),
        ({"facts": {"train": 3}}, "my_photos.facts.test: Field required"),
        ({"facts": {"train": 3, "test": 0}}, "my_photos.facts.test: Input should be greater than"),
        ({"reader": "folder"}, "my_photos.reader: there is no module folder .* write folders"),
    ],
)
def test_a_wrong_entry_is_named(changes, reason):
    with pytest.raises(UserError, match=reason) as caught:
        sources._complete("my_photos", SPEC | changes)
    assert "sources.yaml" in str(caught.value)


def test_a_broken_table_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SOURCES", tmp_path / "sources.yaml")
    sources.SOURCES.write_text("mine: {title: [}\n")
    with pytest.raises(UserError, match=r"(?s)sources\.yaml is no YAML: .*line 1"):
        sources.source_table.__wrapped__()
    sources.SOURCES.write_text("mine:\n")
    with pytest.raises(UserError, match=r"sources\.yaml: mine has no keys; .* shows an entry"):
        sources.source_table.__wrapped__()


def test_pixels_are_those_of_the_files(mine, tmp_path):
    mine(edge=4, facts={"train": 2, "test": 1}, classes=["one"])
    for number in range(5):
        path = tmp_path / "raw/my_photos/one" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 50 * number + 7, np.uint8)).save(path)
    data = run("my_photos", tmp_path / "raw", tmp_path / "out")
    values = [int(image[0, 0, 0]) for image in data.train_images]
    assert values == [50 * int(Path(name).stem) + 7 for name in data.card["train_files"]]
