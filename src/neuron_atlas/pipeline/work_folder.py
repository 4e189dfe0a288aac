"""The folder of what is not a result: unfinished work, kept measurements, the stages' times."""

from pathlib import Path

FOLDER = Path(".work")
WHOLE = (
    "whole"  # the file of a result that a later run may need; all others in its folder are parts
)


def unfinished(folder: Path = FOLDER) -> set[str]:
    """Return the names of the works that have parts."""
    return {path.parent.name for path in folder.glob("*/*") if path.name != WHOLE}
