"""Package clients and hosts that raw data come from; none may hang for long."""

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

# Seconds without a new byte after which a download counts as dead, and for a proxy's first byte
SILENCE = 30
PROXY_ANSWERS = 10


class SourceFailedError(Exception):
    """This source cannot give the files; the next one is tried."""


def run(command: list[str], folder: Path, output: Any = subprocess.DEVNULL) -> None:
    """Ends the program when nothing was added to ``folder`` for a while: no client's own limits hold
    for all that can hang (npm waits for a silent proxy without end)."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=said,
                # pip downloads into its temporary folder: there its progress is seen, too.
                env={**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise SourceFailedError(f"the program {command[0]} is not installed") from None
        try:
            _wait(process, command[0], folder)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            said.seek(0)
            message = " ".join(said.read().decode(errors="replace").split())
            raise SourceFailedError(
                f"{command[0]} ended with status {process.returncode}: {message[-400:]}"
            )


def _wait(process: subprocess.Popen[bytes], program: str, folder: Path) -> None:
    size, since = -1, time.monotonic()
    while True:
        try:
            process.wait(timeout=0.5)
            return
        except subprocess.TimeoutExpired:
            pass
        if (now := _size(folder)) != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            raise SourceFailedError(f"{program} received nothing for {SILENCE} seconds")


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


@functools.cache
def dead_proxy() -> str | None:
    """What is wrong with a proxy that the environment names; None if all answer.

    Programs that come to its machine without it (``no_proxy``) may still work.
    """
    for scheme, address in urllib.request.getproxies_environment().items():
        place = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
        if scheme not in ("http", "https", "all") or not place.hostname:
            continue
        try:
            port = place.port or (443 if place.scheme == "https" else 80)
            with socket.create_connection((place.hostname, port), PROXY_ANSWERS) as proxy:
                proxy.sendall(f"OPTIONS * HTTP/1.1\r\nHost: {place.hostname}\r\n\r\n".encode())
                proxy.recv(1)
        except ConnectionResetError:
            continue  # it does not like the question, but it is there
        except (OSError, ValueError) as error:
            said = "no answer" if isinstance(error, TimeoutError) else error
            return f"the proxy of {scheme}_proxy, {place.hostname}:{place.port}, is dead ({said})"
    return None


def debian(packages: list[str], scratch: Path) -> dict[str, Path]:
    """Uses the machine's own package sources, with private lists: no root, nothing installed."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State={scratch / 'state'}"]
    apt += ["-o", f"Dir::Cache={scratch / 'cache'}"]
    # Called by root, apt would download as a user who may not write here.
    apt += ["-o", "APT::Sandbox::User=root"]
    apt += ["-o", f"Acquire::http::Timeout={SILENCE}", "-o", f"Acquire::https::Timeout={SILENCE}"]
    # One broken repository among many fails the update, yet the lists of the others are there.
    with contextlib.suppress(SourceFailedError):
        run([*apt, "update"], scratch)
    run([*apt, "download", *packages], scratch)
    return {package: _the_file(scratch, f"{package}_*.deb") for package in packages}


def npm(packages: list[str], scratch: Path) -> dict[str, Path]:
    command = ["npm", "pack", "--ignore-scripts", "--loglevel=error"]
    # By default it waits 70 seconds between its attempts.
    command += ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    run([*command, f"--cache={scratch / 'cache'}", *packages], scratch)
    # npm's rule: @scope/name@1.0.0 becomes scope-name-1.0.0.tgz.
    return {
        package: _the_file(
            scratch,
            "-".join(package.removeprefix("@").replace("/", "-").rsplit("@", 1)) + ".tgz",
        )
        for package in packages
    }


def pypi(packages: list[str], scratch: Path) -> dict[str, Path]:
    """Wheels alone: pip would run the code of a source archive to learn what it is."""
    command = ["pip", "download", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    run([*command, "--no-deps", "--only-binary=:all:", *packages], scratch)
    # A wheel's name: name-1.0.0-tags.whl, where name has an underscore for each dash.
    return {
        package: _the_file(scratch, f"{package.replace('-', '_').replace('==', '-')}-*.whl")
        for package in packages
    }


def _the_file(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if not found:
        raise SourceFailedError(f"the download ended without a file {pattern}")
    return found[0]


def http(addresses: list[str], scratch: Path) -> dict[str, Path]:
    downloads = {}
    for address in addresses:
        downloads[address] = scratch / address.rsplit("/", 1)[1]
        # NIST's host is reported to refuse the name that Python gives itself (403).
        request = urllib.request.Request(address, headers={"User-Agent": "fedgenbench"})
        with (
            urllib.request.urlopen(request, timeout=SILENCE) as response,
            open(downloads[address], "wb") as output,
        ):
            shutil.copyfileobj(response, output, 1 << 20)
    return downloads
