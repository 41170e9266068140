import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STARTER = """
import time
from fedgenbench.commands import forkserver
print(forkserver.start(), flush=True)
time.sleep(600)
"""


class Starter:
    """A process that has started a server for the scripts in the current folder."""

    def __init__(self, python: str = sys.executable, **variables: str):
        self.process = subprocess.Popen(
            [python, "-c", STARTER],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )
        # What a shell is to call in Python's place.
        self.python = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def server(self) -> psutil.Process:
        [server] = psutil.Process(self.process.pid).children()
        return server

    def popen(self, script: str, *arguments: str, streams: str = "", **options) -> subprocess.Popen:
        file = Path("script.py")
        # Others that were started may be about to read it.
        if not file.exists() or file.read_text(encoding="utf-8") != script:
            file.write_text(script, encoding="utf-8")
        words = shlex.join(["script.py", *arguments])
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = f"exec {self.python} {words} {streams}"
        return subprocess.Popen(command, shell=True, **pipes | options)

    def run(self, script: str, *arguments: str, input: str | None = None, **options):
        options = {"stdin": subprocess.PIPE} | options
        with self.popen(script, *arguments, **options) as client:
            said, told = client.communicate(input, timeout=60)
            return subprocess.CompletedProcess(script, client.returncode, said, told)


@pytest.fixture
def starter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Starter() as starter:
        yield starter


def socket_of(starter: Starter) -> Path:
    return Path(re.search(r"\S+/socket", starter.python)[0])


def wait_until(condition):
    end = time.monotonic() + 60
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
    done = starter.run(script, "a b", "c", env=variables, input="given")
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
    done = starter.run(f"import os, signal, sys\n{end}\n")
    assert done.returncode == status
    assert done.stderr.endswith(said)


def test_what_a_script_loads_is_loaded_for_the_next_but_not_this_package(starter):
    before = (
        "import sys\nprint('colorsys' in sys.modules, 'fedgenbench.core.wording' in sys.modules)\n"
    )
    script = before + "import colorsys, fedgenbench.core.wording\n"
    assert starter.run(script).stdout == "False False\n"
    wait_until(lambda: starter.run(before).stdout == "True False\n")


def test_scripts_run_side_by_side(starter):
    script = "import sys\nsys.stdin.readline()\nprint(sys.argv[1])\n"
    both = [starter.popen(script, name, stdin=subprocess.PIPE) for name in ("first", "second")]
    for process in reversed(both):
        assert process.communicate("\n", timeout=60)[0] in ("first\n", "second\n")
        assert process.returncode == 0


def test_more_clients_than_can_wait_are_all_served(starter):
    clients = [starter.popen("import sys\nprint(sys.argv[1])\n", str(n)) for n in range(80)]
    assert [client.communicate(timeout=60) for client in clients] == [
        (f"{number}\n", "") for number in range(80)
    ]


WAITING = """
import colorsys, os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
try:
    print(os.getpid(), child.pid, flush=True)
    time.sleep(600)
finally:
    open("cleaned", "w")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_ends_with_its_client_cleans_up_and_leaves_nothing_running(starter, number):
    with starter.popen(WAITING) as client:
        job, child = map(psutil.Process, map(int, client.stdout.readline().split()))
        client.send_signal(number)
        said = client.communicate(timeout=60)
        # A client that could do so waited for the job.
        assert number == signal.SIGKILL or (client.returncode == 130 and not job.is_running())
        assert said == ("", "")
    wait_until(lambda: not job.is_running() and not child.is_running())
    assert Path("cleaned").exists()
    # The server goes on, and loads nothing for jobs that will not come.
    assert starter.run("import sys\nprint('colorsys' in sys.modules)\n").stdout == "False\n"


def test_a_job_that_is_told_to_end_makes_its_step(starter):
    # As core/termination.py has it.
    script = """
import colorsys, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("begun", flush=True)
while not told:
    time.sleep(0.05)
print("kept")
sys.exit(143)
"""
    with starter.popen(script) as client:
        assert client.stdout.readline() == "begun\n"
        client.send_signal(signal.SIGTERM)
        assert client.communicate(timeout=60) == ("kept\n", "")
        assert client.returncode == 143
    assert starter.run("import sys\nprint('colorsys' in sys.modules)\n").stdout == "False\n"


@pytest.mark.slow
def test_a_job_that_does_not_end_is_killed(starter):
    script = "import os, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    script += "print(os.getpid(), flush=True)\ntime.sleep(600)\n"
    with starter.popen(script) as client:
        job = psutil.Process(int(client.stdout.readline()))
        client.kill()
        wait_until(lambda: not job.is_running())


def test_the_server_ends_with_its_starter_and_leaves_no_folder(starter):
    server, folder = starter.server, socket_of(starter).parent
    assert folder.exists()
    starter.process.kill()
    wait_until(lambda: not server.is_running() and not folder.exists())


def test_without_a_server_python_itself_runs_the_script(starter):
    server = starter.server
    starter.process.kill()
    wait_until(lambda: not server.is_running())
    done = starter.run("import os, sys\nprint(os.getppid())\nsys.exit(3)\n")
    assert (done.stdout, done.returncode) == (f"{os.getpid()}\n", 3)


def test_a_job_outlives_its_server(starter):
    # More names of modules than a pipe takes without a reader.
    script = "import sys\nprint('begun', flush=True)\nsys.stdin.readline()\n"
    script += "sys.modules |= {f'{n:0100}': sys for n in range(2000)}\nprint('finished')\n"
    with starter.popen(script, stdin=subprocess.PIPE) as client:
        assert client.stdout.readline() == "begun\n"
        starter.server.kill()
        assert client.communicate("\n", timeout=60) == ("finished\n", "")
        assert client.returncode == 0


def test_a_client_that_waits_when_its_server_dies_runs_python(starter):
    server = starter.server
    server.suspend()
    with starter.popen("print('ran')\n") as client:
        time.sleep(0.5)  # it has asked
        server.kill()
        assert client.communicate(timeout=60) == ("ran\n", "")


@pytest.mark.parametrize("said", [[], [(1000).to_bytes(8, "big"), b"half"]])
def test_a_client_that_died_while_it_asked_leaves_nothing_running(starter, said):
    server = starter.server
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_of(starter)))
        for part in said:
            socket.send_fds(client, [part], [0, 1, 2])
    assert starter.run("print('served')\n").stdout == "served\n"
    wait_until(lambda: not server.children())
    assert server.is_running()


@pytest.mark.parametrize("streams", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_other_file(starter, streams):
    script = "import os, sys\nprint('lost' if '>' in sys.argv[1] else 'said')\n"
    script += (
        "open('streams', 'w').write(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in (0, 1)))\n"
    )
    done = starter.run(script, streams, streams=streams)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">" in streams else "said\n")
    seen = Path("streams").read_text(encoding="utf-8").split()
    assert "/dev/null" in seen
    assert not any("socket" in name for name in seen)


def test_what_a_script_says_is_whole_and_untouched(starter):
    many = starter.run("import sys\nsys.stdout.write('x' * 5_000_000)\n")
    assert many.stdout == "x" * 5_000_000
    script = "import sys\nsys.stdout.buffer.write(b'\\xff\\x00')\nsys.stdout.close()\n"
    done = starter.run(script, text=False)
    assert (done.returncode, done.stdout) == (0, b"\xff\x00")


def test_a_full_disk_is_a_failure(starter):
    done = starter.run("print('x' * 100)\n", streams=">/dev/full")
    assert done.returncode != 0
    assert "No space left on device" in done.stderr


def test_a_scripts_threads_come_to_their_end(starter):
    script = "import threading, time\n"
    script += "threading.Thread(target=lambda: (time.sleep(0.3), print('late'))).start()\n"
    assert starter.run(script).stdout == "late\n"


def test_temporary_files_lie_where_the_scripts_variables_say(starter):
    script = "import tempfile\nprint(tempfile.gettempdir())\n"
    # A module that asks for the folder while the server loads it.
    Path("asks.py").write_text("import tempfile\ntempfile.gettempdir()\n")
    starter.run("import asks\n")
    Path("other").mkdir()
    done = starter.run(script, env=os.environ | {"TMPDIR": str(Path("other").resolve())})
    assert done.stdout == f"{Path('other').resolve()}\n"


def test_where_no_socket_can_be_python_runs_the_script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with Starter(TMPDIR=str(long)) as starter:
        assert starter.python == sys.executable
        assert not list(long.iterdir())
        assert not psutil.Process(starter.process.pid).children()


def test_a_path_that_a_shell_would_read_otherwise(tmp_path, monkeypatch):
    folder = tmp_path / "o'brien $HOME"
    folder.mkdir()
    monkeypatch.chdir(folder)
    python = folder / "python"
    python.symlink_to(sys.executable)
    with Starter(str(python), PYTHONPATH=os.pathsep.join(sys.path)) as starter:
        assert starter.run("print('served')\n", "a b").stdout == "served\n"
        starter.server.kill()
        assert starter.run("print('alone')\n", "a b").stdout == "alone\n"


LOADING = """
import importlib, pkgutil, traceback
import torch
import fedgenbench

asked = []
for name in ("is_available", "device_count", "init", "_lazy_init"):
    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name + traceback.format_stack()[-2]))
for module in pkgutil.walk_packages(fedgenbench.__path__, "fedgenbench."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_no_module_asks_for_a_gpu_while_it_loads():
    # What it found would hold for all jobs that are forked, and CUDA survives no fork.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOADING + "import diffusers, peft, transformers, accelerate\nprint(*asked)\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_the_server_asks_for_gpus_without_taking_one(starter):
    # Until it has begun, its variables are those of the process that it was forked from.
    wait_until(lambda: starter.server.environ().get("PYTORCH_NVML_BASED_CUDA_CHECK") == "1")
    said = starter.run("import os\nprint('PYTORCH_NVML_BASED_CUDA_CHECK' in os.environ)\n").stdout
    assert said == "False\n"
