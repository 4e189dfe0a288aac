"""Count what the stages compute in runs of three sizes, beside what `neuron-atlas plan` says.

`python benchmarks/costs.py FOLDER` makes a small model for each size that has learnt the built-in
facts, runs every heavy stage under `counting`, and writes `costs.json`. Finished stages are kept in
the folder, so that a run that was stopped goes on. FLOPs are counted, not timed: they are the same
on every machine and whatever else runs on it.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.repo import Repo
from tokenizers import Tokenizer

import plan as listing
import quick
import toy  # type: ignore[import-not-found]
from counting import counted
from neuron_atlas.builtin_facts import builtin, relations
from neuron_atlas.costs import model_shape, stages
from neuron_atlas.costs.passes import Passes
from neuron_atlas.costs.run_size import RunSize
from neuron_atlas.costs.settings import Settings, of_sections
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.facts.fact_table import build
from neuron_atlas.pipeline import params
from neuron_atlas.wording import templates
from saved import save  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).with_name("costs.json")
DONE, MODEL = "counted.jsonl", "toy"
NOT_RUN = ("consistency", "effects", "knowledge", "report")  # they ask no model
KEPT = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"),
    *("num_attention_heads", "num_key_value_heads", "tie_word_embeddings"),
)


@dataclass(frozen=True)
class Size:
    """One run.

    Attributes:
        name: What it is called.
        settings: What it sets otherwise than params.yaml.
        shape: Of the model.
        n_steps: Steps for which the model learns its facts.
        model: The size whose model it takes, where it learns none: one that has all its facts.
    """

    name: str
    settings: Mapping[str, Any]
    shape: Mapping[str, int]
    n_steps: int = 0
    model: str = ""


def _shape(width: int, layers: int, words: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "vocab_size": words,
    }


FEW = ("capital", "continent", "day_after", "month_after", "script_of_language")
QUICK = params.read_yaml(quick.SETTINGS)
SMALL = Size(
    "small",
    QUICK
    | {
        "facts": {"relations": list(FEW), "max_per_relation": 12, "paraphrases": 3}
        | {"max_candidates": 12, "max_majority_share": 0.5, "development_share": 0.3},
        "relation_neurons": {"k": 10, "min_facts": 2, "min_positives": 2, "n_chimeras": 19},
    },
    _shape(64, 2, 700),
    90,
)
SIZES = (
    SMALL,
    Size(
        "smallest",
        QUICK
        | {
            "languages": ["en", "fr"],
            "facts": {"relations": list(FEW[:4]), "max_per_relation": 10, "paraphrases": 2}
            | {"max_candidates": 10, "max_majority_share": 0.5, "development_share": 0.3},
            "relation_neurons": {"k": 6, "min_facts": 2, "min_positives": 2, "n_chimeras": 19},
        },
        SMALL.shape,
        model=SMALL.name,
    ),
    Size(
        "medium",
        {
            "languages": ["en", "fr", "de", "es"],
            "facts": {"relations": [*FEW, "currency"], "paraphrases": 3, "max_per_relation": 14}
            | {"max_candidates": 14, "max_majority_share": 0.5, "development_share": 0.3},
            "relation_neurons": {"k": 20, "min_facts": 2, "min_positives": 2, "n_chimeras": 19},
            "interference": {"max_facts": 4, "n_draws": 5},
            "degenerate_neurons": {"search": {"candidates": 8}},
            "editing": {"max_facts": 1, "n_draws": 3},
        },
        _shape(64, 3, 1500),
        120,
    ),
)


def table(size: Size) -> pd.DataFrame:
    """Return the facts that a size's model learns."""
    facts = params.read_yaml(ROOT / "params.yaml")["facts"] | size.settings.get("facts", {})
    names = facts["relations"] or relations.DEFAULT
    limits = Limits(
        max_per_relation=facts["max_per_relation"],
        max_candidates=facts["max_candidates"],
        max_majority_share=facts["max_majority_share"],
    )
    parts = []
    for code in size.settings["languages"]:
        found, _ = builtin.build(
            code, names, limits=limits, development_share=facts["development_share"], seed=0
        )
        texts = templates.load(code)
        chosen = {r: texts.templates[r][: facts["paraphrases"]] for r in names}
        parts.append(build(found, chosen, separator=texts.separator))
    return pd.concat(parts, ignore_index=True)


def repository(size: Size, folder: Path) -> Repo:
    """Make the folder of a run: its parameters, the stages, and the model to bring in."""
    if size.model:
        shutil.copytree(folder.parent / size.model / MODEL, folder / MODEL, dirs_exist_ok=True)
    elif not (folder / MODEL / "config.json").exists():
        toy.SMALL.update(size.shape)
        save(toy.decoder(table(size), n_steps=size.n_steps), folder / MODEL)
    for name in ("stages", "src"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(ROOT / name)
    (folder / "data/raw").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / ".dvc", ignore_errors=True)
    settings = dict(size.settings) | {
        "model": {"source": f"path:{MODEL}", "path": MODEL, "sha256": None}
    }
    present = params.load_languages(ROOT / "params.yaml")
    return listing.described(ROOT, folder, quick.overrides(settings, dict.fromkeys(present)))


def run(size: Size, folder: Path) -> list[dict[str, Any]]:
    """Run the stages of one size, and return what each took."""
    folder.mkdir(parents=True, exist_ok=True)
    with repository(size, folder) as repo:
        graph = repo.index.graph
        order = TopologicalSorter({stage: set(graph.successors(stage)) for stage in graph})
        commands = {stage.name: stage.cmd for stage in order.static_order()}
    os.chdir(folder)
    kept = folder / DONE
    rows = [json.loads(line) for line in kept.open()] if kept.exists() else []
    for name, command in commands.items():
        if name not in {row["stage"] for row in rows} and name not in NOT_RUN:
            rows.append({"stage": name} | _counted(command))
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    return rows


def _counted(command: str) -> dict[str, Any]:
    words = shlex.split(command)
    script = next(i for i, word in enumerate(words) if word.startswith("stages/"))
    return dict(counted(words[script], words[script + 1 :]))


def found_size(folder: Path) -> RunSize:
    """Return the counts of a run, and what its tokenizer and its model made of the prompts."""
    words = Tokenizer.from_file(str(folder / "data/model/tokenizer.json"))
    tables = [pd.read_parquet(path) for path in sorted((folder / "data/recall").glob("*.parquet"))]
    every = pd.concat(tables, ignore_index=True)
    start = len(words.encode("").ids)
    answers = every["separator"] + every["answer"]
    labels = every.drop_duplicates("relation")["candidate_labels"].explode()
    candidates = str(every["separator"].iloc[0]) + labels
    found = RunSize(
        languages=len(tables),
        facts=round(sum(table["fact"].nunique() for table in tables) / len(tables)),
        relations=int(every["relation"].nunique()),
        templates=_n_templates(every),
        prompt_tokens=_length(words, every["prompt"]),
        answer_tokens=_length(words, answers) - start,
        candidate_tokens=_length(words, candidates) - start,
        candidates=float(every["candidates"].map(len).mean()),
        right=float(every["correct"].mean()),
        eligible=_eligible(folder, len(tables)),
    )
    return replace(found, **{name: round(value, 3) for name, value in vars(found).items()})


def _n_templates(every: pd.DataFrame) -> int:
    return int(every["template"].nunique())


def _length(words: Tokenizer, texts: "pd.Series[str]") -> float:
    """Return the mean number of tokens of some texts."""
    encoded = words.encode_batch(texts.tolist())
    return sum(len(one.ids) for one in encoded) / len(encoded)


def _eligible(folder: Path, n_languages: int) -> float:
    about = json.loads((folder / "data/relation_neurons/summary.json").read_text(encoding="utf-8"))
    own = [row for row in about["sets"] if row["source"] in about["languages"]]
    return len(own) / (n_languages * len(about["relations"]))


def compared(folder: Path) -> dict[str, Any]:
    """Return what was counted in a run, and what the formulas say of it, by stage."""
    config = json.loads((folder / "data/model/config.json").read_text(encoding="utf-8"))
    size, counts = found_size(folder), dict[str, float]()
    for line in (folder / DONE).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = str(row["stage"]).partition("@")[0]
        counts[name] = counts.get(name, 0.0) + row["body"] + row["head"]
    given = params.read_yaml(folder / "params.yaml")
    said = stages.work(Passes(model_shape.of_config(config), size), of_sections(given))
    rows: list[dict[str, Any]] = [
        {"stage": name, "counted": counts[name], "estimated": round(one.flops)}
        for name, one in said.items()
        if one.flops and counts.get(name)
    ]
    for row in rows:
        row["error"] = round(row["estimated"] / row["counted"] - 1, 3)
    both = [sum(row[key] for row in rows) for key in ("counted", "estimated")]
    return {
        "size": folder.name,
        "model": {name: config[name] for name in KEPT},
        "parameters": {name: given[name] for name in Settings.__dataclass_fields__},
        "counts": vars(size),
        "stages": rows,
        "counted": both[0],
        "estimated": both[1],
        "error": round(both[1] / both[0] - 1, 3),
    }


def main(folder: Path, wanted: list[str]) -> None:
    """Run the sizes that are named, all by default, and write what is known of all."""
    for size in SIZES:
        if not wanted or size.name in wanted:
            run(size, folder / size.name)
    done = [folder / size.name for size in SIZES if (folder / size.name / DONE).exists()]
    found = sorted((compared(one) for one in done), key=lambda one: float(one["counted"]))
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
