"""A small copy of the workflow: this repository's code, look-alike data, a grid of four runs."""

import hashlib
import multiprocessing
import os
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import yaml

REPOSITORY = Path(__file__).parents[2]
PARTS = (
    *("Snakefile", "rules", "workflow_scripts", "src", "profiles", "papers", "models"),
    *("environment.yml", "requirements"),
)
EXPERIMENT = "fashion_mnist-10"
RUNS = 4  # two methods, two seeds
# fetch, prepare, two partitions, four runs, collect, tables, figures, report
MADE = {"fetch": 1, "prepare": 1, "partition": 2, "federate": RUNS}
PRODUCTS = {"collect": 1, "tables": 1, "figures": 1, "report": 1}


def make(folder: Path) -> Path:
    folder.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=skip)
        elif source.exists():
            shutil.copy2(source, folder / part)
    _write_data(folder)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    experiment = params["experiments"][EXPERIMENT]
    # Three clients and two rounds are too few for pFedGPA's studies.
    for key in ("ablations", "pfedgpa"):
        del experiment[key]
    experiment |= {"model": "mlp", "rounds": 2, "methods": ["local", "fedavg"]}
    experiment["partition"] |= {"clients": 3, "train_per_client": 20, "test_per_client": 10}
    params |= {
        "seeds": [0, 1],
        "device": "cpu",
        "datasets": {"fashion_mnist": params["datasets"]["fashion_mnist"]},
        "experiments": {EXPERIMENT: experiment},
        "scales": {},
    }
    write_params(folder, params)
    return folder


def _write_data(folder: Path) -> None:
    """Fashion-MNIST in small, with pins of its own: 12 training and 5 test images per class."""
    raw = folder / "data/raw/fashion_mnist"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        labels = generator.permutation(np.repeat(np.arange(10, dtype=np.uint8), count))
        images = generator.integers(0, 40, (len(labels), 28, 28), np.uint8)
        images[:, :14] += 20 * labels[:, None, None]  # something to learn
        head = struct.pack(">4I", 2051, len(labels), 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">2I", 2049, len(labels))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    path = folder / "src/fedgenbench/data/sources.yaml"
    sources = yaml.safe_load(path.read_text(encoding="utf-8"))
    entry = sources["fashion_mnist"]
    entry["facts"] = {"train": [12] * 10, "test": [5] * 10}
    entry["files"] = {
        name: hashlib.sha256((raw / name).read_bytes()).hexdigest() for name in entry["files"]
    }
    path.write_text(yaml.safe_dump(sources), encoding="utf-8")


def read_params(folder: Path) -> dict:
    return yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))


def write_params(folder: Path, params: dict) -> None:
    text = yaml.safe_dump(params, sort_keys=False)
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")


# Running Snakemake ------------------------------------------------------------------------------
# A process that has Snakemake loaded is forked for every call, which saves its start-up.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["snakemake.cli"])


def start(folder: Path, *arguments: str) -> multiprocessing.Process:
    process = _processes.Process(target=_main, args=(str(folder), arguments, dict(os.environ)))
    process.start()
    return process


def snakemake(folder: Path, *arguments: str, ok: bool = True) -> str:
    """What ``snakemake`` says in the copy."""
    process = start(folder, *arguments)
    process.join(timeout=900)
    said = (folder / "said.txt").read_text(encoding="utf-8")
    assert (process.exitcode == 0) == ok, said
    return said


def _main(folder: str, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    os.setsid()  # so that a test can kill it with its jobs
    os.chdir(folder)
    os.environ.update(variables)
    os.environ["PYTHONPATH"] = f"{folder}/src"
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    sys.path.insert(0, f"{folder}/src")
    for name in [name for name in sys.modules if name.split(".")[0] == "fedgenbench"]:
        del sys.modules[name]
    output = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from snakemake.cli import main

    sys.argv[0] = "snakemake"
    main(["--cores", "2", *arguments])


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs per rule that a run would make, without the rule that stands for all of them."""
    return jobs(snakemake(folder, "--dry-run", "--quiet", "rules", *arguments))


def jobs(said: str) -> dict[str, int]:
    table = re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)
    return {rule: int(count) for rule, count in table if rule not in ("all", "total")}


def contents(folder: Path, *names: str) -> dict[str, str]:
    """Checksum of every file below ``folder/name``, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in names
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }
