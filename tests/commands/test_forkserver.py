import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fedgenbench.commands import forkserver

STARTER = """
import time
from fedgenbench.commands import forkserver
print(forkserver.start(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def starter(tmp_path, monkeypatch):
    """A process that has started a server for the scripts in the current folder."""
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == str(forkserver.PYTHON)
        yield process
        process.kill()


def run(script: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    Path("script.py").write_text(script, encoding="utf-8")
    command = [str(forkserver.PYTHON), "script.py", *arguments]
    options = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run(command, check=False, **options)


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_script_runs_as_if_python_ran_it(starter):
    script = (
        "import os, sys\n"
        "print(sys.argv, os.getcwd(), sys.path[0], os.environ['WORD'], __name__, sys.stdin.read())\n"
        "print('to the log', file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    variables = os.environ | {"WORD": "two\nlines = é"}
    done = run(script, "a b", "c", env=variables, input="given")
    assert done.returncode == 7
    expected = [
        "['script.py', 'a b', 'c']",
        os.getcwd(),
        "",
        variables["WORD"],
        "__main__",
        "given",
    ]
    assert done.stdout == " ".join(expected) + "\n"
    assert done.stderr == "to the log\n"


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('no data')", 1, "no data\n"),
        ("raise ValueError('seen')", 1, "ValueError: seen\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
    ],
)
def test_the_exit_status_is_the_scripts(starter, end, status, said):
    done = run(f"import os, signal, sys\n{end}\n")
    assert done.returncode == status
    assert done.stderr.endswith(said)


def test_what_a_script_loads_is_loaded_for_the_next_but_not_this_package(starter):
    before = (
        "import sys\nprint('colorsys' in sys.modules, 'fedgenbench.core.wording' in sys.modules)\n"
    )
    script = before + "import colorsys, fedgenbench.core.wording\n"
    assert run(script).stdout == "False False\n"
    wait_until(lambda: run(before).stdout == "True False\n")


def test_scripts_run_side_by_side(starter):
    Path("script.py").write_text("import sys\nsys.stdin.readline()\nprint(sys.argv[1])\n")
    command = [str(forkserver.PYTHON), "script.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, name], **pipes) for name in ("first", "second")]
    for process in reversed(both):
        assert process.communicate("\n", timeout=60)[0] in ("first\n", "second\n")
        assert process.returncode == 0


def test_a_job_ends_with_its_client_and_the_server_with_its_starter(starter):
    Path("script.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
    )
    command = [str(forkserver.PYTHON), "script.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        job = psutil.Process(int(client.stdout.readline()))
        server = job.parent()
        client.send_signal(signal.SIGKILL)
        wait_until(lambda: not job.is_running())
    assert server.is_running()
    starter.kill()
    wait_until(lambda: not server.is_running())


def test_without_a_server_python_itself_runs_the_script(starter):
    starter.kill()
    script = "import os, sys\nprint(os.getppid())\nsys.exit(3)\n"
    wait_until(lambda: run(script).stdout == f"{os.getpid()}\n")
    assert run(script).returncode == 3
