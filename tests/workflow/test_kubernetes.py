"""What the Kubernetes plugin would submit by profiles/kubernetes: its own Job, made without a cluster."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example.org/fedgenbench"


@pytest.fixture
def variables(monkeypatch):
    monkeypatch.setenv("FEDGENBENCH_IMAGE", IMAGE)
    monkeypatch.setenv("FEDGENBENCH_STORE", "s3://bucket/fedgenbench")


def profile():
    from snakemake.profiles import ProfileConfigFileParser

    with open(ROOT / "profiles/kubernetes/config.yaml") as file:
        return ProfileConfigFileParser().parse(file)


@pytest.mark.parametrize("variable", ["FEDGENBENCH_IMAGE", "FEDGENBENCH_STORE"])
def test_what_only_the_user_knows_is_asked_for(variables, monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(SystemExit, match=f"profiles/kubernetes needs {variable}, "):
        profile()


def test_image_and_store_are_the_users(variables):
    settings = profile()
    assert settings["container-image"] == IMAGE
    assert settings["default-storage-provider"] == "s3"
    assert settings["default-storage-prefix"] == "s3://bucket/fedgenbench"


def test_the_image_holds_the_lock_and_torch():
    recipe = (ROOT / "containers/Dockerfile").read_text(encoding="utf-8")
    assert "COPY requirements requirements" in recipe
    assert "--require-hashes -r requirements/lock.txt" in recipe
    uv = re.search(r"uv==[\d.]+", recipe)[0]
    assert uv in (ROOT / "tools/setup.sh").read_text(encoding="utf-8")
    assert "snakemake-storage-plugin-s3==" in recipe  # or every pod would fetch it


def submitted(**resources):
    """The Job that the plugin makes of a job with these resources beside the profile's."""
    plugin = pytest.importorskip("snakemake_executor_plugin_kubernetes")
    text = (ROOT / "profiles/kubernetes/config.yaml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)["default-resources"] | {"mem_mb": 8000, "_cores": 1}
    executor = object.__new__(plugin.Executor)
    taken = []
    api = SimpleNamespace(create_namespaced_job=lambda space, body: taken.append((space, body)))
    vars(executor).update(
        workflow=SimpleNamespace(deployment_settings=SimpleNamespace(deployment_method=set())),
        logger=SimpleNamespace(debug=lambda said: None, info=lambda said: None, error=print),
        run_namespace="run",
        namespace="default",
        container_image=IMAGE,
        persistent_volumes=[],
        k8s_service_account_name=None,
        k8s_cpu_scalar=0.95,
        secret_envvars={"aws_access_key_id": "AWS_ACCESS_KEY_ID"},
        privileged=False,
        batchapi=api,
        format_job_exec=lambda job: "python -m snakemake job",
        _kubernetes_retry=lambda work: work(),
        report_job_submission=lambda info: None,
    )
    job = SimpleNamespace(
        resources=defaults | resources, jobid=1, attempt=1, is_containerized=False
    )
    executor.run_job(job)
    ((space, body),) = taken
    assert space == "default"
    (container,) = body.spec.template.spec.containers
    return body, container


def test_a_job_with_a_gpu_has_it_as_a_limit():
    body, container = submitted(gpu=1)
    # Kubernetes wants both, and equal: a GPU is not shared out by requests.
    for part in (container.resources.requests, container.resources.limits):
        assert part["nvidia.com/gpu"] == "1"
        assert part["memory"] == "8000M"
    assert container.image == IMAGE
    assert container.args == ["-c", "python -m snakemake job"]
    assert body.spec.template.spec.restart_policy == "Never"
    assert [each.key for each in body.spec.template.spec.tolerations] == ["nvidia.com/gpu"]
    assert container.env[0].value_from.secret_key_ref.key == "aws_access_key_id"


def test_a_job_without_a_gpu_takes_none():
    _, container = submitted()
    assert "nvidia.com/gpu" not in container.resources.limits
