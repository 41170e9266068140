"""The benchmark of tuning runs, in small, and both contestants train the same model."""

import ast
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_clients import assert_equal, bits, private

PATH = Path(__file__).parents[2] / "benchmarks/lora_tuning.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("lora_tuning", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_loops_leave_the_base_as_it_was(bench):
    with torch.random.fork_rng(devices=[]):
        pipeline = bench.model(True, "cpu")
        before = bits(pipeline.unet)
        images, _ = private(4)
        for play in (bench.tune, bench.script):
            ends = play(pipeline, images, 2, 3)
            assert ends == sorted(ends)
            assert len(ends) == 3
            assert_equal(before, bits(pipeline.unet))


@pytest.mark.slow
def test_the_operations_of_a_step_are_those_of_stable_diffusion(bench):
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, layers_per_block=2
        )
    unet.requires_grad_(False)
    one = bench.unet_flops(SimpleNamespace(unet=unet), 1)
    # A forward pass has about 0.8 TFLOP; backward, the frozen weights have no gradient of their own.
    assert 1.5e12 < one < 1.9e12
    assert bench.unet_flops(SimpleNamespace(unet=unet), 4) == pytest.approx(4 * one, rel=1e-3)


def test_a_trial_prints_its_rows_and_records_nothing(bench, capsys, monkeypatch):
    def here(how, chosen):
        with torch.random.fork_rng(devices=[]):
            if how == "rate":
                return {"rate": bench.matrix_rate("cpu", 64), "device": bench.device_name("cpu")}
            found = bench.case(how, True, "cpu", chosen.batch, chosen.steps)
            return json.loads(json.dumps(found))

    monkeypatch.setattr(bench, "_run", here)
    kept = PATH.with_suffix(".json")
    before = kept.read_bytes() if kept.exists() else None
    bench.main(["--tiny", "--batch", "2", "--steps", "3", "--repeats", "1"])
    assert (kept.read_bytes() if kept.exists() else None) == before
    lines = capsys.readouterr().out.splitlines()
    rows = [ast.literal_eval(line) for line in lines if line.startswith("{'how'")]
    assert [row["how"] for row in rows] == ["tune", "script"]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(2 / row["seconds_per_step"])
        share = row["unet_flops_per_step"] / row["seconds_per_step"] / row["matrix_rate"]
        assert row["share_of_matrix_rate"] == pytest.approx(share)
        assert 0 < share < 1
        assert row["seconds_before"] > 0
