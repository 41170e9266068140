"""Runs a Python script in a process that a fork server makes; without a server, in a new one.

    python -I -S forkclient.py SOCKET PYTHON SCRIPT

stands where ``PYTHON SCRIPT`` would: the same arguments, variables, folder, standard streams and exit
status. It imports nothing but the standard library's smallest parts, since every job starts it.
"""

import contextlib
import os
import signal
import socket
import sys


def pass_on(connection: socket.socket, number: int) -> None:
    """Tells the job of a signal; this process ends after it."""
    with contextlib.suppress(OSError):  # it has just ended
        connection.send(bytes([number]))


def main(address: str, python: str, arguments: list[str]) -> int:
    # A standard stream that is closed would let the connection take its number.
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    connection = socket.socket(socket.AF_UNIX)
    variables = [name + b"=" + value for name, value in os.environb.items()]
    request = [os.getcwdb(), b"%d" % len(arguments), *map(os.fsencode, arguments), *variables]
    message = b"\0".join(request)
    try:
        connection.connect(address)
        socket.send_fds(connection, [len(message).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(message)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pass_on(connection, number))
        # The status, and the end of the stream once the process has gone; it alone if a signal ended it.
        status = b"".join(iter(lambda: connection.recv(16), b""))
    except OSError:
        # Nobody has read all of the request: there is no server, or it died meanwhile.
        os.execvp(python, [python, *arguments])
    return status[0] if status else 137


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
