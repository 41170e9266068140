import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compare_results import main
from fedgenbench.core.artifacts import save
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import write_json
from fedgenbench.core.products import write_manifest
from fedgenbench.core.reports import save_report
from result_files import content

RUN = "results/runs/emoji/fedavg/seed0-{0}"
IMAGES = "results/runs/emoji/guided-main/seed0-{0}"


def provenance(commit: int) -> dict:
    return {
        "started": f"2026-11-2{commit}T10:00:00+00:00",
        "wall_seconds": 4.0 * commit,
        "peak_memory_bytes": 10**9 + commit,
        "cpu": f"Processor {commit}",
        "versions": {"torch": f"2.{commit}"},
        "variables": {"OMP_NUM_THREADS": "1"},
        "git_revision": f"{commit}" * 40,
        "git_dirty": commit == 2,
        "lock_sha256": f"{commit}" * 64,
    }


def make(root: Path, commit: int) -> Path:
    """Results as the workflow writes them; what differs by design differs between commits."""
    digest = f"{commit}abcdef012"
    (root / "data/prepared").mkdir(parents=True)
    write_json(root / f"data/prepared/emoji-{digest}/card.json", {"counts": {"train": 3}})
    write_json(root / f"data/partitions/emoji/seed0-{digest}.json", {"clients": [[0, 1], [2]]})
    metrics = {"digest": digest, "score": {"personal": [0.5, 0.25, -0.0]}, "rounds": [{"round": 1}]}
    save_report(root / RUN.format(digest) / "metrics.json", metrics, provenance(commit))
    folder = root / IMAGES.format(digest)
    arrays = {
        "images": np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
        "style": np.array([1.0, np.nan, 3.0], np.float32),
        "scale": np.array(2.0),
    }
    save(folder / "images.safetensors", "images", arrays, {"classes": ["a"], "digest": digest})
    report = {"digest": digest, "images": 2, "seconds_per_image": 0.5 * commit}
    save_report(folder / "metrics.json", report, provenance(commit))
    Image.new("RGB", (4, 4), (10, 20, 30)).save(folder / "grid.png", compress_level=commit)
    collected = root / f"results/smoke/collected-{digest}"
    write_json(collected / "context.json", {"expected": [["emoji", "fedavg", 0, digest]]})
    frame = pd.DataFrame(
        {"digest": [digest], "bytes_up": [7.5], "git_revision": [f"{commit}" * 40]}
    )
    frame["hardware"] = f"Processor {commit}"
    frame.to_parquet(collected / "jobs.parquet")
    pd.DataFrame({"wall_seconds": [1.0 * commit]}).to_parquet(collected / "measured_jobs.parquet")
    tables = root / "results/smoke/tables"
    tables.mkdir()
    lines = [f"FedAvg,{digest},0.1234567890", f"Hardware: Processor {commit}."]
    lines += ["Warning: 1 run made in a working tree with uncommitted changes."] * (commit == 2)
    (tables / "main.csv").write_text("\n".join(lines))
    manifest = tables / f"tables-{digest}.json"
    write_manifest(manifest, [tables / "main.csv"], {"emoji/fedavg/seed0": digest})
    return root


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    return make(tmp_path / "old", 1), make(tmp_path / "new", 2)


def compared(trees: tuple[Path, Path], capsys, *more: str) -> tuple[int, str]:
    code = main([*map(str, trees), *more])
    return code, capsys.readouterr().out


def edit(path: Path, *keys: str | int, value) -> None:
    content = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    write_json(path, content)


def metrics_of(tree: Path) -> Path:
    return next(tree.glob("results/runs/*/fedavg/*/metrics.json"))


def test_digests_times_and_machines_are_no_difference(trees, capsys):
    code, said = compared(trees, capsys)
    assert said.splitlines()[-1] == "Nothing moved."
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()[1:-1]}
    assert rows.keys() == {
        *("partitions", "prepared", "runs", "smoke/collected", "smoke/tables"),
    }
    assert rows.pop("runs") == ["2", "2", "0", "0", "0"]
    assert all(row == ["1", "1", "0", "0", "0"] for row in rows.values())


def test_a_flipped_bit_of_an_array_is_told_with_its_place(trees, capsys):
    path = next(trees[1].glob("results/runs/*/guided-*/*/images.safetensors"))
    arrays = {"images": np.arange(12, dtype=np.uint8).reshape(2, 2, 3)}
    arrays["images"][1, 0, 2] ^= 1 << 4
    arrays |= {"style": np.float32([1.0, np.nan, 3.0]), "scale": np.array(2.0)}
    save(path, "images", arrays, {"classes": ["a"], "digest": "2abcdef012"})
    code, said = compared(trees, capsys)
    assert code == 1
    assert said.splitlines()[-2:] == [
        "results/runs/emoji/guided-main/seed0-#/images.safetensors images: "
        "[1, 0, 2] 8 -> 24, 1 of 12 differ, greatest difference 16",
        "1 difference not expected, 0 missing.",
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            0.5 + 2**-53,
            "[0] 0.5 -> 0.5000000000000001, 1 of 3 differ, greatest difference 1.11e-16",
        ),
        (1, "[0] 0.5 -> 1, 1 of 3 differ, greatest difference 0.5"),
        (None, "[0] 0.5 -> None, 1 of 3 differ"),
    ],
)
def test_a_changed_metric_is_told(trees, capsys, value, told):
    edit(metrics_of(trees[1]), "score", "personal", 0, value=value)
    code, said = compared(trees, capsys)
    assert code == 1
    assert f"results/runs/emoji/fedavg/seed0-#/metrics.json score.personal: {told}\n" in said


@pytest.mark.parametrize("value", [[0.5, 0.25, 0.0], [0.5, 0.25]])
def test_the_sign_of_zero_and_a_shorter_list_are_differences(trees, capsys, value):
    edit(metrics_of(trees[1]), "score", "personal", value=value)
    told = "length 3 -> 2" if len(value) == 2 else "[2] -0.0 -> 0.0"
    assert f"score.personal: {told}" in compared(trees, capsys)[1]


def test_settings_of_the_instructions_are_compared(trees, capsys):
    path = metrics_of(trees[1]).with_name("run.json")
    edit(path, "variables", "OMP_NUM_THREADS", value="2")
    assert "run.json variables.OMP_NUM_THREADS: '1' -> '2'\n" in compared(trees, capsys)[1]


def test_tables_frames_and_pictures_are_compared_by_content(trees, capsys):
    path = trees[1] / "results/smoke/tables/main.csv"
    path.write_text(path.read_text().replace("0.1234567890", "0.1234567891"))
    path = next(trees[1].glob("results/smoke/collected-*/jobs.parquet"))
    pd.read_parquet(path).assign(bytes_up=8.0).to_parquet(path)
    path = next(trees[1].glob("results/runs/*/guided-*/*/grid.png"))
    with Image.open(path) as image:
        changed = image.copy()
    changed.putpixel((3, 1), (10, 22, 30))
    changed.save(path)
    code, said = compared(trees, capsys)
    assert code == 1
    assert said.splitlines()[-4:] == [
        "results/runs/emoji/guided-main/seed0-#/grid.png pixels: [1, 3, 1] 20 -> 22, 1 of 48 differ, "
        "greatest difference 2",
        "results/smoke/collected-#/jobs.parquet bytes_up: 7.5 -> 8.0, greatest difference 0.5",
        "results/smoke/tables/main.csv lines: [0] 'FedAvg,#,0.1234567890' -> 'FedAvg,#,0.1234567891', "
        "1 of 2 differ",
        "3 differences not expected, 0 missing.",
    ]


def test_pictures_of_16_bits_are_compared_to_the_last(trees, capsys):
    for value, tree in zip((1000, 1001), trees, strict=True):
        path = next(tree.glob("results/runs/*/guided-*/*/grid.png"))
        Image.fromarray(np.full((2, 2), value, np.uint16)).save(path)
    assert "grid.png pixels: [0, 0] 1000 -> 1001, 4 of 4 differ" in compared(trees, capsys)[1]


def test_metadata_in_another_order_is_no_difference(tmp_path):
    from safetensors.numpy import save as written

    files = []
    for number, pairs in enumerate(([("a", "1"), ("b", "x")], [("b", "x"), ("a", "1")])):
        data = written({"w": np.zeros(2, np.float32)})
        size = int.from_bytes(data[:8], "little")
        header = json.dumps(json.loads(data[8 : 8 + size]) | {"__metadata__": dict(pairs)})
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + data[8 + size :])
        files.append(content("w.safetensors", path, set()))
    assert files[0].keys() == {"metadata.a", "metadata.b", "w"}
    assert all(repr(files[0][key]) == repr(files[1][key]) for key in files[0])


def test_a_missing_job_and_a_missing_file_are_told(trees, capsys):
    shutil.rmtree(metrics_of(trees[1]).parent)
    next(trees[0].glob("results/runs/*/guided-*/*/grid.png")).unlink()
    code, said = compared(trees, capsys)
    assert code == 1
    assert "results/runs/emoji/fedavg/seed0-#: only in OLD\n" in said
    assert "results/runs/emoji/guided-main/seed0-#/grid.png: only in NEW\n" in said
    assert ["runs", "1", "0", "1", "1", "0"] in [line.split() for line in said.splitlines()]


def test_an_expected_difference_passes_and_hides_no_other(trees, capsys, tmp_path):
    edit(metrics_of(trees[1]), "score", "personal", 0, value=0.75)
    meant = tmp_path / "meant.txt"
    meant.write_text("results/runs/*/metrics.json score.personal  # the mean has weights now\n")
    code, said = compared(trees, capsys, "--expect", str(meant))
    assert code == 0
    assert said.splitlines()[-2:] == [
        "expected: results/runs/*/metrics.json score.personal (the mean has weights now)",
        "Nothing else moved.",
    ]
    edit(metrics_of(trees[1]), "rounds", 0, "round", value=2)
    code, said = compared(trees, capsys, "--expect", str(meant))
    assert code == 1
    assert "metrics.json rounds.0.round: 1 -> 2, greatest difference 1\n" in said


def test_an_expected_difference_must_occur_and_have_a_reason(trees, capsys, tmp_path):
    meant = tmp_path / "meant.txt"
    meant.write_text("results/runs/*  # none\n")
    code, said = compared(trees, capsys, "--expect", str(meant))
    assert code == 1
    assert "DID NOT OCCUR: results/runs/* (none)\n0 differences not expected, 1 missing.\n" in said
    meant.write_text("results/runs/*\n")
    with pytest.raises(UserError, match='"results/runs/\\*" has no reason'):
        main([*map(str, trees), "--expect", str(meant)])


def test_of_two_digests_of_a_job_that_one_counts_which_the_old_tree_lacks(trees, capsys):
    old = metrics_of(trees[0]).parent
    mine = metrics_of(trees[1]).parent
    shutil.copytree(old, mine.with_name(old.name))
    edit(mine / "metrics.json", "score", "personal", 0, value=0.75)
    assert "score.personal: [0] 0.5 -> 0.75" in compared(trees, capsys)[1]
    shutil.copytree(mine, mine.with_name("seed0-3abcdef012"))
    with pytest.raises(UserError, match="several digests \\(2abcdef012, 3abcdef012\\)"):
        main([*map(str, trees)])
