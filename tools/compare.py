"""Command: print the experiments side by side, with a row per changed parameter and per verdict.

`dvc exp show` has hundreds of columns, one per parameter, metric and dep, of which few fit a
terminal. Here every experiment is a column, and no line is wider than the terminal: more columns
follow below. DVC leaves out empty mappings, so an added language is not among the changes.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import exp_show
from ruamel.yaml import YAML

WORD = re.compile(r"metrics/verdicts/(\w+)\.json:verdict")
WIDEST = 40  # characters of a value; longer ones show their end
NONE = "-"


def table(experiments: Sequence[Mapping[str, Any]], sections: Sequence[str]) -> pd.DataFrame:
    """Return the parameters that differ between experiments, then each claim's effect and verdict.

    Args:
        experiments: As `dvc.api.exp_show` returns them: the workspace first, which is left out
            if it equals another one.
        sections: Top-level keys of params.yaml.

    Returns:
        One row per parameter or claim, one column per experiment, all text.
    """
    first, *others = [dict(_rows(experiment, sections)) for experiment in experiments]
    names = [str(experiment["Experiment"] or experiment["rev"]) for experiment in experiments]
    rows = others if first in others else [first, *others]
    frame = pd.DataFrame(rows, index=names[-len(rows) :]).fillna(NONE).T
    claims = {match[1] for name in experiments[0] if (match := WORD.match(name))}
    return frame[frame.index.isin(claims) | (frame.nunique(axis=1) > 1)]


def _rows(experiment: Mapping[str, Any], sections: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield an experiment's state, its parameters, and then each claim's effect and verdict."""
    yield "state", _text(experiment["State"])
    for name, value in experiment.items():
        parameter = name.removeprefix("params.yaml:")
        if parameter.partition(".")[0] in sections:
            yield parameter, _text(value)
    for name, value in experiment.items():
        if match := WORD.match(name):  # what is untestable may have no effect
            effect = experiment.get(f"metrics/verdicts/{match[1]}.json:effect")
            yield match[1], NONE if value is None else f"{_text(effect)} {value}"


def _text(value: Any) -> str:
    """Return a number with three significant digits, a whole number, or the end of a text."""
    if value is None:
        return NONE
    if isinstance(value, float):  # DVC returns whole numbers as floats too
        return f"{value:.0f}" if value.is_integer() else f"{value:.3g}"
    text = str(value)
    return text if len(text) <= WIDEST else f"…{text[1 - WIDEST :]}"


def main() -> None:
    """Print the experiments made from the current commit."""
    sections = list(YAML(typ="safe").load(Path("params.yaml")))
    width = shutil.get_terminal_size((120, 24)).columns
    print(table(exp_show(), sections).to_string(line_width=width))


if __name__ == "__main__":
    main()
