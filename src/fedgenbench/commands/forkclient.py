"""Runs a Python script in a process that a fork server makes; without a server, in a new one.

    python -I -S forkclient.py SOCKET PYTHON SCRIPT

stands where ``PYTHON SCRIPT`` would: the same arguments, variables, folder, standard streams and exit
status. It imports nothing but the standard library's smallest parts, since every job starts it.
"""

import os
import socket
import sys


def main(address: str, python: str, arguments: list[str]) -> int:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        os.execv(python, [python, *arguments])
    variables = [f"{name}={value}" for name, value in os.environ.items()]
    request = "\0".join([os.getcwd(), str(len(arguments)), *arguments, *variables])
    message = request.encode(errors="surrogateescape")
    socket.send_fds(connection, [len(message).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(message)
    # The status, and the end of the stream once the process has gone; it alone if a signal ended it.
    status = b"".join(iter(lambda: connection.recv(16), b""))
    return status[0] if status else 137


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
