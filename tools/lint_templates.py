"""Command: name every broken template of a folder, and fail if there is one."""

import sys
from pathlib import Path

from neuron_atlas.wording import templates


def main(arguments: list[str]) -> int:
    """Check the named folder, or ours, whose templates also have to end alike; 1 if one fails."""
    folder = Path(arguments[0]) if arguments else templates.FOLDER
    found = templates.lint(folder)
    if folder == templates.FOLDER and not found:
        found = templates.unlike_endings(folder)
    codes = templates.languages(folder)
    if not codes:
        found = [f"{folder} has no <language>.yaml; name the folder that holds the templates"]
    n = sum(len(t) for code in codes for t in _texts(code, folder)) if not found else 0
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    if not found:
        sys.stdout.write(f"{n} templates in {len(codes)} languages are sound\n")
    return 1 if found else 0


def _texts(code: str, folder: Path) -> list[tuple[str, ...]]:
    return list(templates.load(code, folder, at_least=1).templates.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
