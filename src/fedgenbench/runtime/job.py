"""The frame of every workflow script: log file, one thread, readable errors."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from fedgenbench.errors import UserError


@contextlib.contextmanager
def job(snakemake) -> Iterator[None]:
    """Sends standard error to the rule's log; a ``UserError`` is also shown on the terminal.

    Exits with status 2 on a ``UserError`` and 1 on any other exception, whose traceback is in the
    log.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    with open(log, "w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except UserError as error:
            print(error, file=sys.stderr)
            _tell(terminal, f"\n{snakemake.rule}: {error}\n")
            sys.exit(2)
        except Exception as error:
            traceback.print_exc()
            _tell(terminal, f"\n{snakemake.rule}: {type(error).__name__}: {error} (see {log})\n")
            sys.exit(1)
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def _tell(descriptor: int, text: str) -> None:
    os.write(descriptor, (text + "\n").encode())
