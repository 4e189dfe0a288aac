"""Command: print the experiments side by side, with a row per changed parameter and per verdict.

`dvc exp show` has a column per parameter, metric and dep, hundreds, of which few fit a terminal.
Here every experiment is a column, and a line is as wide as the terminal at most: columns beyond
that follow below. DVC leaves out empty mappings, so a language that was added is not among what
was changed.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import exp_show
from ruamel.yaml import YAML

EFFECT = re.compile(r"metrics/verdicts/(\w+)\.json:effect")
WIDEST = 40  # characters of a value; of longer ones the end is shown
NONE = "-"


def table(experiments: Sequence[Mapping[str, Any]], sections: Sequence[str]) -> pd.DataFrame:
    """Return texts: what differs between the experiments, then each claim's effect and verdict.

    Args:
        experiments: As `dvc.api.exp_show` returns them: the workspace first, which is left out
            where it is as one of the others.
        sections: The first words of the parameters' names.
    """
    first, *others = [dict(_rows(experiment, sections)) for experiment in experiments]
    names = [str(experiment["Experiment"] or experiment["rev"]) for experiment in experiments]
    rows = others if first in others else [first, *others]
    frame = pd.DataFrame(rows, index=names[-len(rows) :]).fillna(NONE).T
    claims = {match[1] for name in experiments[0] if (match := EFFECT.match(name))}
    return frame[frame.index.isin(claims) | (frame.nunique(axis=1) > 1)]


def _rows(experiment: Mapping[str, Any], sections: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield an experiment's state and parameters, and then what it says of each claim."""
    yield "state", _text(experiment["State"])
    for name, value in experiment.items():
        parameter = name.removeprefix("params.yaml:")
        if parameter.partition(".")[0] in sections:
            yield parameter, _text(value)
    for name, value in experiment.items():
        if match := EFFECT.match(name):
            word = experiment[f"metrics/verdicts/{match[1]}.json:verdict"]
            yield match[1], NONE if word is None else f"{_text(value)} {word}"


def _text(value: Any) -> str:
    """Return a number's three significant digits, of whole numbers all, or a text's end."""
    if value is None:
        return NONE
    if isinstance(value, float):  # as which DVC returns whole numbers too
        return f"{value:.0f}" if value.is_integer() else f"{value:.3g}"
    text = str(value)
    return text if len(text) <= WIDEST else f"…{text[1 - WIDEST :]}"


def main() -> None:
    """Print the experiments that were made from the current commit."""
    sections = list(YAML(typ="safe").load(Path("params.yaml")))
    width = shutil.get_terminal_size((120, 24)).columns
    print(table(exp_show(), sections).to_string(line_width=width))


if __name__ == "__main__":
    main()
