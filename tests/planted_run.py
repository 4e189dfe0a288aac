"""A repository in which the planted model was run as far as the commands need it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import planted
import results
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.cards import tables
from neuron_atlas.facts import fact_table
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.addresses import Neuron
from neuron_atlas.pipeline import params, store
from neuron_atlas.recall import answers
from neuron_atlas.relation_neurons import build as relation_neurons_build
from neuron_atlas.relation_neurons import casting
from neuron_atlas.relation_neurons.build import SetPlan
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.wording import demonstrations

ROOT = Path(__file__).parents[1]
LANGUAGES = planted.LANGUAGES[:2]
HOSTILE = "[red]\x1b[31m\u202eevil\x9b[/red]"  # markup, a colour, a turned line, a C1 escape
PLAN = SetPlan(
    k=planted.M,
    templates="min",
    min_facts=4,
    massive=20.0,
    exclude_massive=False,
    min_positives=3,
    n_chimeras=19,
    n_draws=2,
)
SOURCE = {
    "name": "planted",
    "version": "1",
    "reference": "https://example.org",
    "licence": "CC BY 4.0 (planted facts)",
    "files": {},
}
QUESTION = {"tested": "How much", "against": "Random neurons of equal push", "published": "More"}


def flat(name: str) -> int:
    """Return a planted unit's flat index."""
    return flat_of(planted.NEURONS[name])


def flat_of(neuron: Neuron) -> int:
    """Return a neuron's flat index."""
    return neuron.layer * planted.N_NEURONS + neuron.index


def address(name: str) -> str:
    """Return a planted unit's address."""
    return f"{planted.NEURONS[name].layer}:{planted.NEURONS[name].index}"


def make(root: Path, lm: LanguageModel) -> Path:
    """Fill a folder as the stages up to `report` would, as far as commands read it."""
    _write_parameters(root)
    planted.save(root / "data/model")
    store.write_json(root / "data/model/provenance.json", results.PROVENANCE)
    planted.write_facts(root / "data/facts", LANGUAGES)
    for code in LANGUAGES:
        _ask_and_record(root, lm, code)
        report = {"source": SOURCE, "relations": dict.fromkeys(planted.RELATIONS, _relation())}
        store.write_json(root / f"data/facts_report/{code}.json", report)
        store.write_table(root / f"data/attributions/{code}/scores.parquet", attributed())
    _build_sets(root)
    write_cards(root / "data/cards")
    store.write_table(root / "data/effects/cells.parquet", cells())
    write_metrics(root / "metrics")
    (root / "report").mkdir()
    (root / "report/index.html").write_text("<!doctype html>", encoding="utf-8")
    return root


def _write_parameters(root: Path) -> None:
    content = params.read_yaml(ROOT / "params.yaml")
    content |= {"languages": {code: {} for code in LANGUAGES}}
    YAML().dump(content, root / "params.yaml")
    (root / "dvc.yaml").touch()


def _ask_and_record(root: Path, lm: LanguageModel, code: str) -> None:
    facts = fact_table.read_facts(root / f"data/facts/{code}.parquet")
    asked = demonstrations.with_demonstrations(facts, shots=0, seed=0)
    recalled = answers.with_known(answers.score(lm, asked))
    store.write_table(root / f"data/recall/{code}.parquet", recalled)
    extraction.save(
        lm,
        prompt_choice.answered_prompts(recalled),
        root / f"data/activations/{code}",
        site="hidden",
        pooling="answer",
        place=root / ".work" / code,
    )


def _build_sets(root: Path) -> None:
    values = {
        code: Recorded(
            root / f"data/activations/{code}", store.read_table(root / f"data/facts/{code}.parquet")
        )
        for code in LANGUAGES
    }
    keys = {code: f"relation_neurons {code}-" for code in LANGUAGES}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # where scores are kept
        given = casting.languages(values, {}, PLAN, seed=0)
        out = root / "data/relation_neurons"
        relation_neurons_build.build(given, out, PLAN, seed=0, keys=keys)


def _relation() -> dict[str, Any]:
    left = {"limit": 3, "copy": 1, "ambiguous": 0}
    counts = {"n_facts": planted.N_SUBJECTS, "n_candidates": planted.N_ANSWERS}
    templates = {"n_used": planted.N_PARAPHRASES}
    return {**counts, "dropped": left, "templates": templates, "example": HOSTILE}


def attributed() -> pd.DataFrame:
    """Return scores of the first alpha facts: the fact's own unit first, then a planted one."""
    rows = [
        (f"alpha:{s}", "alpha", template, "attribution", rank, flat(unit), 1.0 - 0.5 * rank)
        for s in planted.SUBJECTS[:6]
        for template in range(planted.N_PARAPHRASES)
        for rank, unit in enumerate((f"fact:alpha:{s}", "first:alpha"))
    ]
    columns = ["fact", "relation", "template", "method", "rank", "neuron", "score"]
    return pd.DataFrame(rows, columns=columns)


def cells() -> pd.DataFrame:
    """Return the run's effect of alpha's set on alpha."""
    numbers = {"effect": -1.5, "random": -0.5, "excess": -1.0, "low": -1.25, "high": -0.75}
    return pd.DataFrame([{"relation": "alpha", "measured": "alpha", "n_facts": 7, **numbers}])


def write_metrics(folder: Path) -> None:
    """Write a summary of three claims: one with all numbers, one without any, and a hostile one."""
    numbers = {"effect": -0.5, "low": -0.75, "high": -0.25, "mde": 0.125}
    known = {"p_value": 0.0123, "p_holm": 0.25, "question": QUESTION}
    verdicts = {
        "relation_neurons_exist": {"verdict": "supported", **numbers, **known},
        "interference": {"verdict": "untestable", "reason": HOSTILE},
        "cumulativity": {"verdict": HOSTILE, **numbers, "question": QUESTION},
    }
    store.write_json(folder / "summary.json", {"verdicts": verdicts})
    for name, one in verdicts.items():
        store.write_json(folder / "verdicts" / f"{name}.json", {"verdict": one["verdict"]})


def write_cards(folder: Path) -> None:
    """Write cards of four neurons: two of alpha, one of beta, and a fact's own unit."""
    units = ["first:alpha", "second:alpha", "first:beta", "fact:alpha:s0"]
    made: dict[str, Sequence[dict[str, Any]]] = {
        "neurons": [_neuron(name, massive=name == "second:alpha") for name in units],
        "memberships": [
            *(_member("first:alpha", "alpha", code, 0) for code in (*LANGUAGES, "pooled")),
            *(_member("second:alpha", "alpha", code, 1) for code in (*LANGUAGES, "pooled")),
            _member("first:beta", "beta", "pooled", 0),
            _member("fact:alpha:s0", "alpha", "xa", 0)
            | {"kind": "fact", "name": "alpha:s0", "label": HOSTILE},
        ],
        "scores": [_score("first:alpha", r, v) for r, v in (("alpha", 1.0), ("beta", 0.25))],
        "tokens": [
            *(_token("first:alpha", rank, text) for rank, text in enumerate((" Paris", HOSTILE))),
            *(_token("second:alpha", rank, text) for rank, text in enumerate((" x", "paris"))),
            _token("first:beta", 0, " Paris") | {"direction": "suppressed"},
        ],
        "scripts": [{**_of("first:alpha"), "direction": "promoted", "script": "Latin", "share": 1}],
        "prompts": [
            {**_of("first:alpha"), "end": end, "rank": 0, "language": "xa", "relation": "alpha"}
            | {"fact": "alpha:s0", "prompt": HOSTILE, "answer": "xa_alpha_a0", "value": value}
            for end, value in (("strongest", 1.0), ("weakest", 0.0))
        ],
        "effects": [
            {**_of("first:alpha"), "measured_by": "cards", "relation": "alpha", "effect": -0.5}
            | {"low": -0.75, "high": -0.25, "n_prompts": 4, "unit": "nats"}
        ],
        "partners": [
            {**_of("first:alpha"), "partner": flat("second:alpha"), "kind": "co_selected"}
            | {"count": 3, "expected": 0.5}
        ],
        "writes": [
            {**_of("first:alpha"), "relation": "alpha", "language": "xa", "auc": 0.75}
            | {"random": 0.5, "p_value": 0.03}
        ],
        "relations": [
            {"relation": "alpha", "language": "pooled", "n_neurons": 3, "auc": 0.625, "low": 0.5}
            | {"high": 0.75, "random": 0.5, "p_value": 0.01, "p_holm": 0.02}
        ],
        "relation_tokens": [
            {k: v for k, v in _token("first:alpha", 0, " Paris").items() if k != "neuron"}
            | {"relation": "alpha"}
        ],
    }
    for name, columns in tables.COLUMNS.items():
        rows = pd.DataFrame(made[name]).reindex(columns=list(columns))
        store.write_table(folder / f"{name}.parquet", tables.typed([rows], columns))
    size = {"n_layers": planted.N_LAYERS, "n_neurons": planted.N_NEURONS}
    names = {"languages": list(LANGUAGES), "relations": list(planted.RELATIONS)}
    store.write_json(folder / "meta.json", {**size, **names})


def _of(name: str) -> dict[str, Any]:
    return {"neuron": flat(name)}


def _neuron(name: str, *, massive: bool) -> dict[str, Any]:
    place = planted.NEURONS[name]
    counts = {f"n_{kind}": int(kind == "relation") for kind in tables.KINDS}
    best = {"best_relation": "alpha", "best_language": "xa"}
    about = {"layer": place.layer, "index": place.index, "massive": massive, "size": 0.5}
    return {**_of(name), **about, **counts, **best}


def _member(name: str, relation: str, language: str, rank: int) -> dict[str, Any]:
    same = {"name": relation, "label": relation, "relation": relation, "language": language}
    return {**_of(name), "kind": "relation", **same, "rank": rank, "score": 1.0 - rank / 8}


def _score(name: str, relation: str, value: float) -> dict[str, Any]:
    numbers = {"average_precision": value, "mean": 1.0, "elsewhere": 0.0}
    return {**_of(name), "language": "xa", "relation": relation, **numbers}


def _token(name: str, rank: int, text: str) -> dict[str, Any]:
    about = {"direction": "promoted", "script": "all", "rank": rank, "token_id": rank}
    return {**_of(name), **about, "token": text, "logit": 2.0 - rank}
