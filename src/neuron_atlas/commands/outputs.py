"""Where the outputs of a run are, whose they are, and which stage makes one that is missing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from neuron_atlas.commands.printing import plain

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from neuron_atlas.comparison.ownership import Ownership
    from neuron_atlas.model.architectures import Site
    from neuron_atlas.neurons.relation_sets import RelationSets

PIPELINE = "dvc.yaml"
CARDS = ("data/cards", "cards")  # a place, and the stage that makes it
MODEL = ("data/model", "model")
SHOWN = 30  # names in an error
SETS = ("data/relation_neurons", "relation_neurons")


@dataclass(frozen=True)
class Run:
    """A repository whose pipeline has run, in part at least.

    Attributes:
        root: Its folder, which has `data/`, `metrics/` and `report/`.
    """

    root: Path

    def place(self, name: str) -> Path:
        """Return the path of an output, whether or not it is there."""
        return self.root / name

    def need(self, name: str, stage: str) -> Path:
        """Return the path of an output.

        Args:
            name: From the root, such as `data/cards`.
            stage: That makes it.

        Raises:
            ValueError: it is missing; the message says what to run.
        """
        return self._there(name, stage, f"dvc pull {stage}")

    def need_tracked(self, name: str, stage: str) -> Path:
        """Return the path of an output that git tracks.

        Raises:
            ValueError: it is missing; the message says what to run.
        """
        return self._there(name, stage, f"git checkout {name.partition('/')[0]}")

    def _there(self, name: str, stage: str, fetched: str) -> Path:
        path = self.place(name)
        if not path.exists():
            raise ValueError(
                f"{self._called(path)} is missing: run `dvc repro {stage}`, or `{fetched}`"
            )
        return path

    def languages(self) -> list[str]:
        """Return the codes of the languages that there are outputs of; perhaps none."""
        return list(self._listed("languages") or sorted(self._reports()))

    def language(self, given: str | None) -> str:
        """Return the given language, or the run's first.

        Raises:
            ValueError: the run does not have it, or has none.
        """
        every = self.languages()
        return require(given or next(iter(every), ""), every, what="language")

    def relations(self) -> list[str]:
        """Return the names of the relations that there are outputs of; perhaps none."""
        reports = (read_json(path)["relations"] for path in self._reports().values())
        return list(self._listed("relations") or sorted({r for one in reports for r in one}))

    def _listed(self, key: str) -> list[str]:
        """Return what the latest stage that lists them has, in the order of params.yaml."""
        for name in (f"{CARDS[0]}/meta.json", f"{SETS[0]}/summary.json"):
            if self.place(name).is_file():
                return list(read_json(self.place(name)).get(key, ()))
        return []

    def _reports(self) -> dict[str, Path]:
        return {path.stem: path for path in self.place("data/facts_report").glob("*.json")}

    def _called(self, path: Path) -> str:
        """Return how a person at work here would write a path."""
        here = Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)


def find(folder: Path | None) -> Run:
    """Return the run of a folder, or the one around the present folder.

    Args:
        folder: A repository, or its folder `data`; None looks for `dvc.yaml` here and above.

    Raises:
        ValueError: there is none.
    """
    if folder is None:
        here = Path.cwd()
        for place in (here, *here.parents):
            if (place / PIPELINE).is_file():
                return Run(place)
        raise ValueError(
            f"no {PIPELINE} in {here} or above; go to a repository of Neuron Atlas, or name one "
            "with --data FOLDER"
        )
    if not folder.is_dir():
        raise ValueError(f"--data: {folder} is no folder")
    if (folder / "data").is_dir():
        return Run(folder)
    if folder.resolve().name == "data":
        return Run(folder.resolve().parent)
    raise ValueError(f"--data: {folder} is neither a repository with data/ nor its folder data")


def own_effect(run: Run, relation: str) -> dict[str, Any] | None:
    """Return what the run found without a relation's neurons on its own unseen facts, if it did.

    Returns:
        Of the cell of the relation with itself: `effect` and `random` (nats, mean over facts and
        languages), `excess` with its simultaneous 95 % interval, `n_facts`.
    """
    import pandas as pd

    file = run.place("data/effects/cells.parquet")
    if not file.is_file():
        return None
    cells = pd.read_parquet(file)
    own = cells[(cells["relation"] == relation) & (cells["measured"] == relation)]
    if own.empty:
        return None
    row = own.iloc[0]
    numbers = {name: float(row[name]) for name in ("effect", "random", "excess", "low", "high")}
    return {"relation": relation, "n_facts": int(row["n_facts"]), **numbers}


def read_sets(run: Run, source: str) -> "RelationSets":
    """Return the relation neurons of a language or of all pooled, and what random ones match."""
    from neuron_atlas.neurons import relation_sets

    run.need(*SETS)
    return relation_sets.read_sets(run.need(f"{SETS[0]}/{source}", SETS[1]))


def read_recall(run: Run, language: str) -> "pd.DataFrame":
    """Return what the model answered in a language."""
    from neuron_atlas.pipeline import store

    return store.read_table(run.need(f"data/recall/{language}.parquet", f"recall@{language}"))


def site(run: Run) -> "Site":
    """Return which values of the MLP are neurons in this run."""
    found: Site = read_json(run.need(f"{SETS[0]}/summary.json", SETS[1]))["site"]
    return found


def parsed(text: str, like: "RelationSets") -> "np.ndarray":
    """Return the flat indices of neurons given as `layer:index`, separated by commas.

    Raises:
        ValueError: one is no address, or the model has no such neuron.
    """
    import numpy as np

    from neuron_atlas.cards.reading import parse_address

    n_layers, n_neurons = like.size.shape
    meta = {"n_layers": n_layers, "n_neurons": n_neurons}
    return np.array([parse_address(one, meta) for one in text.split(",")], dtype=np.int64)


def addresses(neurons: "np.ndarray", like: "RelationSets") -> list[str]:
    """Return neurons as `layer:index`."""
    width = like.size.shape[1]
    return [f"{n // width}:{n % width}" for n in neurons.tolist()]


def told_whose(run: Run) -> str | None:
    """Return whose results a repository's workspace has, in words; None if nobody knows.

    A warning goes to standard error if they are another run's: the parameters or the data are
    newer than the metrics and the page.
    """
    found = _ownership(run)
    return None if found is None else found.told()


def another_run_s(run: Run) -> bool:
    """Return whether a workspace's metrics are known to be another run's; warn if they are."""
    found = _ownership(run)
    return found is not None and not found.own


def _ownership(run: Run) -> "Ownership | None":
    from neuron_atlas.comparison.ownership import of_workspace

    try:
        found = of_workspace(run.root)
    except ValueError:  # no repository of DVC's, such as a folder that was unpacked
        return None
    if not found.own:
        typer.echo(f"warning: these results are {plain(found.told())}", err=True)
    return found


def require(value: str, known: Iterable[str], *, what: str) -> str:
    """Return a name that is one of the known ones.

    Raises:
        ValueError: it is none; the message names similar ones, or all.
    """
    names = list(known)
    if value in names:
        return value
    if not names:
        raise ValueError(f"this run has no {what} yet, {value!r} neither; run `dvc repro`")
    similar = get_close_matches(value, names, n=1)
    hint = f"; did you mean {similar[0]}?" if similar else "."
    shown = ", ".join(names[:SHOWN]) + (" and others" if len(names) > SHOWN else "")
    raise ValueError(f"no {what} {value!r} in this run{hint} There are {shown}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; `store.read_json` does too, and loads pandas with it.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
