"""A process that has loaded what jobs need and forks one for each of them, in milliseconds.

A job of seconds would pay as much again for loading torch and diffusers. Snakemake starts ``SCRIPT`` by
``sys.executable SCRIPT``; ``start`` gives it another one, which asks the server (forkclient.py). A child
tells its server which modules of other packages it had to load, and the server loads them for those that
come after; this package's own stay unloaded, so that every job runs the code that lies there. The server
ends with the process that started it; a job ends if its client does. What a script has registered with
``atexit`` is not called: it could not be told from what the server's modules have.
"""

import contextlib
import importlib
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

# Seconds in which a job that was told to end may do so: more than core/termination.py takes.
GRACE = 30
# A server ends when its standard input closes, so what holds that is kept.
_servers: list[subprocess.Popen[bytes]] = []


def start() -> str:
    """Starts a server for the scripts run by this process; returns the shell's words for Python.

    They are those of Python itself where no server can be: no folder for its socket, or one whose path
    is too long.
    """
    python = shlex.quote(sys.executable)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            # Not in this folder: a socket's path is short, and what copies folders stumbles over sockets.
            folder = Path(tempfile.mkdtemp(prefix="fedgenbench-"))
        except OSError:
            return python
        address = folder / "socket"
        try:
            listener.bind(str(address))
        except OSError:
            shutil.rmtree(folder)
            return python
        listener.listen(64)
        server = [sys.executable, "-m", "fedgenbench.commands.forkserver"]
        _servers.append(
            subprocess.Popen(
                [*server, str(listener.fileno()), str(folder)],
                # The other end closes when this process ends, however it does.
                stdin=subprocess.PIPE,
                # A module that asks for GPUs while it loads must not take one for all that are forked.
                env=os.environ | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"},
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        )
    client = [sys.executable, "-I", "-S", Path(__file__).with_name("forkclient.py"), address]
    return f"{shlex.join(map(str, client))} {python}"


class _Child(Exception):
    """This process is a child, whose script is to be run."""


def serve(listener: socket.socket) -> None:
    """Forks a process for every client, until the standard input ends.

    Raises:
        _Child: in a forked process, with its connection and where to say what it has loaded.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    reports: dict[int, bytes] = {}
    with listener, selectors.DefaultSelector() as events:
        events.register(listener, selectors.EVENT_READ)
        events.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    report = _fork(listener)
                    events.register(report, selectors.EVENT_READ)
                    reports[report] = b""
                elif part := os.read(key.fd, 65536):
                    reports[key.fd] += part
                else:
                    events.unregister(key.fd)
                    os.close(key.fd)
                    _load(reports.pop(key.fd).decode().split())


def _fork(listener: socket.socket) -> int:
    """Forks for a waiting client; returns where the child will say which modules it has loaded."""
    connection, _ = listener.accept()
    reading, writing = os.pipe()
    if os.fork():
        connection.close()
        os.close(writing)
        return reading
    os.close(reading)
    raise _Child(connection, writing)


def _load(modules: list[str]) -> None:
    for name in modules:
        # Some packages put into sys.modules what cannot be imported by its name.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def run(connection: socket.socket, report: int) -> None:
    """Runs the script that a client asks for, as its own process would; sends the exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)
    arguments = _take_over(connection)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    loaded = set(sys.modules)
    sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
    status = _status_of(arguments[0])
    new = [name for name in sys.modules if name not in loaded and _of_others(name)]
    if status < 128:  # else it was told to end, and no job follows
        with contextlib.suppress(OSError):  # the server may be dead
            os.write(report, "\n".join(new).encode())
    os.close(report)
    with contextlib.suppress(OSError):  # and so may the client
        connection.sendall(bytes([status]))
    # As multiprocessing's children end: taking torch's objects apart would cost a second.
    os._exit(status)


def _take_over(connection: socket.socket) -> list[str]:
    """Gives this process a client's streams, folder and variables; returns its script's arguments."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    length = int.from_bytes(head, "big")
    message = connection.makefile("rb").read(length)
    if not head or len(message) < length:
        os._exit(1)  # the client was killed before it had said all
    folder, count, *rest = message.split(b"\0")
    arguments, variables = rest[: int(count)], rest[int(count) :]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    for variable in variables:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    tempfile.tempdir = None  # that of the server's variables
    return [os.fsdecode(argument) for argument in arguments]


def _status_of(script: str) -> int:
    """Runs ``script``; what it says is written out when this returns its exit status."""
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
        threading._shutdown()  # type: ignore[attr-defined]  # waits for its threads
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code & 0xFF
        elif end.code is not None:
            print(end.code, file=sys.stderr)
            status = 1
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    return status


def _of_others(name: str) -> bool:
    return name.partition(".")[0] not in ("fedgenbench", "__main__", "__mp_main__")


def _end_with(client: socket.socket) -> None:
    """Ends this process and what it has started when its client is told to end, or has gone.

    By the client's signal, or as Ctrl-C does, so that files are left whole; what goes on nevertheless
    is killed.
    """
    told = b""
    with contextlib.suppress(OSError):
        told = client.recv(1)
    os.killpg(0, told[0] if told else signal.SIGINT)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    try:
        serve(socket.socket(fileno=int(sys.argv[1])))
    except _Child as child:
        run(*child.args)
    shutil.rmtree(sys.argv[2], ignore_errors=True)
