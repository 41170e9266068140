"""What the jobs of the field do."""

from __future__ import annotations

from fedgenbench.systems.work import rounds

KINDS = {"federate": rounds}
