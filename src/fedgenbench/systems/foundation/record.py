"""What is recorded with the foundation model's weights (docs/foundation.md)."""

from pathlib import Path

FOLDER = Path("models/foundation")


def recorded(folder: Path = FOLDER) -> bool:
    """Whether there is a record: only a model that was trained here has one."""
    return (folder / "evidence.json").exists()
