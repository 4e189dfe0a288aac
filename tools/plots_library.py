"""Command: write the library that draws the page of `dvc plots show`, which needs no network then.

`.dvc/plots_page.html` loads it from `.venv/vega.js`, where `make setup` writes it.
"""

import sys
from pathlib import Path

from neuron_atlas.pages import charts


def main(out: Path) -> None:
    """Write Vega, Vega-Lite and Vega-Embed, with their licences, as one file."""
    out.write_text(charts.vega().text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
