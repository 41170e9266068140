"""The frame of every workflow script: log file, one thread, readable errors."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedgenbench.core.digest import code_digest
from fedgenbench.core.errors import UserError
from fedgenbench.core.termination import heed


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Sends standard error to the rule's log; a ``UserError`` is also shown on the terminal.

    Refuses to start with other code than the workflow was planned with: the result would stand under
    a digest that is not its own. Exits with status 2 on a ``UserError`` and 1 on any other exception,
    whose traceback is in the log.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    with open(log, "w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 2)
        try:
            _require_code(snakemake.params.get("code"))
            heed()
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


def _require_code(planned: list[str] | None) -> None:
    if planned and code_digest(*planned[1:]) != planned[0]:
        raise UserError(
            f"the code of {planned[1]}, or of a module that it imports, was edited after the workflow "
            "had started: start it again"
        )


def _tell(descriptor: int, text: str) -> None:
    # A file's name need not be text.
    os.write(descriptor, (text + "\n").encode(errors="backslashreplace"))
