"""Find each language's neurons, and measure what its texts and answers lose without them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.language_specific import activity, selection, tables, texts
from neuron_atlas.language_specific.activity import Activity
from neuron_atlas.language_specific.language_work import LanguageWork
from neuron_atlas.language_specific.selection import Selected
from neuron_atlas.language_specific.settings import LanguageSpecific
from neuron_atlas.language_specific.texts import Lines, Sample
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints, store

GROUP = 6  # texts, or facts, that are measured together: few, so that little is lost by a kill
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Inputs:
    """What the stage reads.

    Attributes:
        recalled: Recall tables by language; one may have no rows.
        lines: Lines of text by language; None for the run's own prompts.
    """

    recalled: Mapping[str, pd.DataFrame]
    lines: Lines | None

    def samples(
        self, lm: LanguageModel, how: LanguageSpecific, *, seed: int
    ) -> Mapping[str, Sample]:
        """Return the texts of each language that has any."""
        if self.lines is not None:
            return texts.of_lines(lm, self.lines, how, seed=seed)
        return texts.of_prompts(lm, self.with_rows, how, seed=seed)

    @property
    def with_rows(self) -> Mapping[str, pd.DataFrame]:
        """The recall tables that have rows."""
        return {code: table for code, table in self.recalled.items() if len(table)}


def run(
    lm: LanguageModel, given: Inputs, out: Path, how: LanguageSpecific, *, seed: int, key: str
) -> None:
    """Write `sets`, `activity`, `texts`, `answers` (Parquet) and `meta.json` to the folder `out`.

    A language with too few texts is left out. With fewer than two languages, or where no neuron is
    active enough, the tables have no rows and `meta.json` says why.

    Args:
        lm: The model.
        given: What the earlier stages left, and lines of text.
        out: The folder to make.
        how: Which texts, which neurons, and how much is measured.
        seed: The seed.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """
    samples = given.samples(lm, how, seed=seed)
    used = {code: one for code, one in samples.items() if one.n_tokens >= how.min_tokens}
    about = _about(lm, given, used)
    if len(used) < 2:
        reason = f"it needs texts of two languages, and has enough of them in {len(used)}"
        _write(out, nothing(), {**about, "reason": reason})
        return
    counted = _counted(lm, used, f"activity-{key}")
    found = _select(counted, how)
    known = _selected(counted, found)
    if len(found.every):
        work = LanguageWork(lm, given.with_rows, used, found, counted, how, seed)
        known |= _measured(work, list(used), key)
        about["threshold"] = found.threshold
    else:
        about["reason"] = "no neuron is active enough in any language"
    _write(out, nothing() | known, about)
    for name in ("activity", tables.TEXTS, tables.ANSWERS):
        checkpoints.done(f"{Path(name).stem}-{key}")


def nothing() -> Tables:
    """Return the tables of the stage without rows."""
    columns = {
        tables.SETS: tables.MEMBERS,
        tables.ACTIVITY: tables.COUNTS,
        tables.TEXTS: tables.ON_TEXTS,
        tables.ANSWERS: tables.ON_ANSWERS,
    }
    return {name: tables.typed([], own) for name, own in columns.items()}


def _about(lm: LanguageModel, given: Inputs, used: Mapping[str, Sample]) -> dict[str, Any]:
    return {
        "n_layers": lm.n_layers,
        "n_neurons": lm.n_neurons,
        "texts": "prompts" if given.lines is None else "files",
        "measured": "answer" if lm.architecture.encoder else "text",
        "n_tokens": {code: one.n_tokens for code, one in used.items()},
        "left_out": sorted(set(given.recalled) - set(used)),
    }


def _counted(lm: LanguageModel, used: Mapping[str, Sample], key: str) -> dict[str, Activity]:
    """Measure each language's activity, and keep what is finished."""

    def count(part: pd.DataFrame) -> pd.DataFrame:
        (code,) = part["language"]
        return activity.measure(lm, used[code].finding).table(code)

    languages = pd.DataFrame({"language": list(used)})
    rows = checkpoints.in_parts(languages, count, key=key, size=1)
    shape = (lm.n_layers, lm.n_neurons)
    return {code: activity.of_table(rows[rows["language"] == code], shape) for code in used}


def _select(counted: Mapping[str, Activity], how: LanguageSpecific) -> Selected:
    return selection.select(
        _probabilities(counted), tuple(counted), percentile=how.percentile, share=how.share
    )


def _probabilities(counted: Mapping[str, Activity]) -> np.ndarray:
    return np.stack([one.probability.ravel() for one in counted.values()])


def _selected(counted: Mapping[str, Activity], found: Selected) -> Tables:
    n_neurons = next(iter(counted.values())).active.shape[1]
    rows = [one.table(code) for code, one in counted.items()]
    return {
        tables.SETS: selection.members(found, _probabilities(counted), n_neurons=n_neurons),
        tables.ACTIVITY: pd.concat(rows, ignore_index=True),
    }


def _measured(work: LanguageWork, languages: Sequence[str], key: str) -> Tables:
    """Measure texts and facts in groups of one language each, and keep what is finished."""
    parts: dict[str, tuple[Callable[[str], int], Callable[[pd.DataFrame], pd.DataFrame]]] = {
        tables.TEXTS: (work.n_texts, work.measure_texts),
        tables.ANSWERS: (work.n_facts, work.measure_facts),
    }
    found = {}
    for name, (count, measure) in parts.items():
        items = [(code, i) for code in languages for i in range(count(code))]
        sizes = [
            min(GROUP, count(code) - start)
            for code in languages
            for start in range(0, count(code), GROUP)
        ]
        frame = pd.DataFrame(items, columns=["language", "place"])
        found[name] = checkpoints.in_parts(
            frame, measure, key=f"{Path(name).stem}-{key}", size=sizes
        )
    return found


def _write(out: Path, found: Tables, about: Mapping[str, Any]) -> None:
    with store.whole(out) as folder:
        for name, table in found.items():
            store.write_table(folder / name, table)
        store.write_json(folder / tables.META, about)
