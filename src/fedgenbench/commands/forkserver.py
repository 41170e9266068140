"""A process that has loaded what jobs need and forks one for each of them, in milliseconds.

A job of seconds would pay as much again for loading torch and diffusers. Snakemake starts ``SCRIPT`` by
``sys.executable SCRIPT``; ``start`` gives it another one, which asks the server (forkclient.py). A child
tells its server which modules of other packages it had to load, and the server loads them for those that
come after; this package's own stay unloaded, so that every job runs the code that lies there. The server
ends with the process that started it; a job ends if its client does.
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
import traceback
from pathlib import Path

PYTHON = Path(".snakemake/forkserver/python")


def start() -> str:
    """Starts a server for the scripts run in this folder; returns what to call in Python's place."""
    # Not in this folder: a socket's path is short, and what copies folders stumbles over sockets.
    address = Path(tempfile.mkdtemp(prefix="fedgenbench-")) / "socket"
    client = [sys.executable, "-I", "-S", Path(__file__).with_name("forkclient.py"), address]
    command = shlex.join(map(str, [*client, sys.executable]))
    PYTHON.parent.mkdir(parents=True, exist_ok=True)
    PYTHON.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    PYTHON.chmod(0o755)
    # The other end of its standard input closes when this process ends, however it does.
    server = subprocess.Popen(
        [sys.executable, "-m", "fedgenbench.commands.forkserver", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None
    server.stdout.readline()  # it listens
    return str(PYTHON)


class _Child(Exception):
    """This process is a child, whose script is to be run."""


def serve(address: str) -> None:
    """Forks a process for every client, until the standard input ends.

    Raises:
        _Child: in a forked process, with its connection and its script's arguments.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    reports: dict[int, bytes] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as events:
        listener.bind(address)
        listener.listen(64)
        print("listening", flush=True)
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
    raise _Child(connection, writing)


def _load(modules: list[str]) -> None:
    for name in modules:
        # Some packages put into sys.modules what cannot be imported by its name.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def run(connection: socket.socket, report: int) -> None:
    """Runs the script that a client asks for, as its own process would; sends the exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, streams, _, _ = socket.recv_fds(connection, 8, 3)
    message = b""
    while len(message) < int.from_bytes(length, "big"):
        message += connection.recv(65536)
    folder, count, *rest = message.decode(errors="surrogateescape").split("\0")
    arguments, variables = rest[: int(count)], rest[int(count) :]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({name: value for name, _, value in (v.partition("=") for v in variables)})
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    loaded = set(sys.modules)
    sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
    status = _status_of(arguments[0])
    new = [name for name in sys.modules if name not in loaded and _of_others(name)]
    os.write(report, "\n".join(new).encode())
    os.close(report)
    connection.sendall(bytes([status]))
    # As multiprocessing's children end: taking torch's objects apart would cost a second.
    os._exit(status)


def _status_of(script: str) -> int:
    """Runs ``script``; what it says is written out when this returns its exit status."""
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code & 0xFF
        elif end.code is not None:
            print(end.code, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _of_others(name: str) -> bool:
    return name.partition(".")[0] not in ("fedgenbench", "__main__", "__mp_main__")


def _end_with(client: socket.socket) -> None:
    """Ends this process when its client has gone: Snakemake has killed the job."""
    with contextlib.suppress(OSError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        serve(sys.argv[1])
    except _Child as child:
        run(*child.args)
    shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)
