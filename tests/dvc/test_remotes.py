"""Pushing results to a remote and pulling them into a fresh clone, for both kinds of remote."""

import os
import socket
import subprocess
import sys
import time

import pytest

HELD = "recorded/embedded"


def sh(*command, cwd, env=None):
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def environment(tmp_path):
    identity = {
        f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    # The global folders of DVC and Git stay out of the test.
    return (
        os.environ
        | identity
        | keys
        | {"HOME": str(tmp_path), "DVC_SITE_CACHE_DIR": str(tmp_path / "c")}
    )


@pytest.fixture
def project(tmp_path, environment):
    """A repository with a recorded folder, held as ``make record`` has DVC hold it."""
    folder = tmp_path / "project"
    (folder / HELD).mkdir(parents=True)
    for name in "ab":
        (folder / HELD / name).write_text(f"accuracy of {name}")
    sh("git", "init", "-q", cwd=folder, env=environment)
    sh("dvc", "init", "-q", cwd=folder, env=environment)
    sh("dvc", "add", "-q", "--no-relink", HELD, cwd=folder, env=environment)
    return folder


def push_clone_pull(project, tmp_path, environment):
    sh("git", "add", "-A", cwd=project, env=environment)
    sh("git", "commit", "-qm", "results", cwd=project, env=environment)
    sh("dvc", "push", "-q", cwd=project, env=environment)
    clone = tmp_path / "clone"
    sh("git", "clone", "-q", str(project), str(clone), cwd=tmp_path, env=environment)
    assert not (clone / HELD).exists()
    sh("dvc", "pull", "-q", cwd=clone, env=environment)
    assert (clone / HELD / "a").read_text() == "accuracy of a"
    assert (clone / HELD / "b").read_text() == "accuracy of b"
    assert "up to date" in sh("dvc", "status", cwd=clone, env=environment)


def test_local_folder(project, tmp_path, environment):
    store = tmp_path / "store"
    sh("dvc", "remote", "add", "--default", "store", str(store), cwd=project, env=environment)
    push_clone_pull(project, tmp_path, environment)
    assert sum(path.is_file() for path in store.rglob("*")) == 3  # two files and their listing


def test_s3_compatible(project, tmp_path, environment):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, "the S3 stand-in did not start"
            time.sleep(0.5)
        address = f"http://127.0.0.1:{port}"
        create = (
            f"import boto3; boto3.client('s3', endpoint_url={address!r}, region_name='us-east-1')"
            ".create_bucket(Bucket='bucket')"
        )
        sh(sys.executable, "-c", create, cwd=project, env=environment)
        add = ("dvc", "remote", "add", "--default", "store", "s3://bucket/fedgenbench")
        sh(*add, cwd=project, env=environment)
        sh("dvc", "remote", "modify", "store", "endpointurl", address, cwd=project, env=environment)
        push_clone_pull(project, tmp_path, environment)
    finally:
        server.kill()
        server.wait()
