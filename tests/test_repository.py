"""The files at the top of the repository agree with each other."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from fedgenbench.cli import main
from fedgenbench.systems.base import systems

ROOT = Path(__file__).parents[1]


def lock_pins() -> dict[str, str]:
    text = (ROOT / "requirements/lock.txt").read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.M))


def test_lock_is_hashed_and_holds_neither_torch_nor_cuda_nor_addresses():
    text = (ROOT / "requirements/lock.txt").read_text()
    pins = lock_pins()
    assert len(pins) > 100
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not [name for name in pins if re.match(r"torch$|torchvision|nvidia|cuda|triton", name)]
    assert "://" not in text


def test_requirements_are_all_locked():
    lines = (ROOT / "requirements/requirements.in").read_text().splitlines()
    names = [re.match(r"[A-Za-z0-9._-]+", line)[0] for line in lines if line and line[0] != "#"]
    assert "torch" in names
    assert set(names) - {"torch"} <= set(lock_pins())


def test_environment_yml_gives_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    torch = re.search(r"^torch==(\S+)", (ROOT / "requirements/requirements.in").read_text(), re.M)[
        1
    ]
    assert f"pytorch={torch}" in conda
    assert "-r requirements/lock.txt" in pip
    for spec in conda:
        assert re.fullmatch(r"[a-z0-9._-]+((=|>=)[0-9][0-9.]*)?", spec), spec


def profile(name):
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


def test_default_profile_limits_gpus():
    settings = profile("default")
    assert "gpu=4" in settings["resources"]
    assert "code" not in settings["rerun-triggers"]


def test_default_profile_takes_the_cores_that_a_quota_leaves(monkeypatch):
    from snakemake.profiles import ProfileConfigFileParser

    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # as a quota of one
    with open(ROOT / "profiles/default/config.yaml") as file:
        assert ProfileConfigFileParser().parse(file)["cores"] == "1"


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_cluster_profiles_leave_gpus_to_the_rules(name):
    settings = profile(name)
    assert "set-resources" not in settings
    assert "slurm_extra" not in settings["default-resources"]
    assert "gpu" not in settings["default-resources"]
    assert (settings["default-resources"].get("gpu_manufacturer") == "nvidia") == (name != "slurm")


PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "papers/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(
        r"\]\((?!https?:|mailto:|#)([\w./-]+)[)#]", page.read_text(encoding="utf-8")
    ):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_make_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    told = re.findall(r"`make ([\w-]+)`|^\$ make ([\w-]+)", page.read_text(encoding="utf-8"), re.M)
    assert {first or second for first, second in told} <= targets


def test_the_hosted_checks_run_what_stands_in_ci():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert workflow["permissions"] == {"contents": "read"}


def test_hooks_before_a_commit_are_the_style_checks_of_make_lint():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # tools of the lock, no versions of their own
    entries = " ".join(hook["entry"] for hook in repo["hooks"])
    lint = re.search(r"^lint: .*?\n\n", (ROOT / "Makefile").read_text(), re.M | re.S)[0]
    for tool in ("ruff check", "ruff format", "snakefmt"):
        assert tool in entries
        assert tool in lint


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert f"({citation['version']})" in (ROOT / "CHANGELOG.md").read_text()


def test_issue_forms_are_forms():
    forms = set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    forms.remove(ROOT / ".github/ISSUE_TEMPLATE/config.yml")
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form), path
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
        assert all(field["attributes"]["label"] for field in form["body"])


def test_rules_and_phases_name_no_paper():
    papers = {system.name for system in systems().values() if system.settings}
    assert papers == {"pfedgpa", "warmfed", "fedlmg"}
    for path in (ROOT / "Snakefile", ROOT / "dvc.yaml", *(ROOT / "rules").glob("*.smk")):
        assert not [name for name in papers if name in path.read_text(encoding="utf-8")], path


def test_what_contributing_tells_to_call_and_to_edit_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    called = set(re.findall(r"`fedgenbench ([\w-]+)", text))
    assert {"new-method", "new-system"} <= called <= set(main.commands)
    named = re.findall(r"`((?:src|tests|docs|papers|tools|rules)/[\w./-]+)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
