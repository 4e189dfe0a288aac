"""Made-up cards of any number of neurons, and one neuron among them whose every value is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.cards import tables
from neuron_atlas.cards.reading import Cards

LANGUAGES = ("en", "fr", "de", "zh")
RELATIONS = ("capital", "continent", "currency", "language")
SCRIPTS = ("Latin", "Han", "Cyrillic", "Arabic")
N_NEURONS = 6000  # per layer
PLACES = 10  # tokens of all scripts, per direction
OWN_PLACES = 5  # of each script
N_PROMPTS = 5  # per end
LETTERS: Mapping[str, str] = {
    "Latin": "abcdefghijklmnopqrstuvwxyz",
    "Han": "的一是不了人我在有他这中大来上国个到说们",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщыэюя",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
}
PLANTED = 11 * N_NEURONS + 1532  # 11:1532
NOTHING = np.array(None, dtype=object)  # a missing text
TOKEN = " Zanzibar"  # which the planted neuron alone promotes


def made(n: int, *, seed: int = 0, n_words: int = 2000) -> Cards:
    """Make the cards of `n` neurons in 20 layers, none of them planted."""
    random = np.random.default_rng(seed)
    flat = np.sort(random.choice(20 * N_NEURONS, n, replace=False)).astype(np.int64)
    words = _words(random, n_words)
    memberships = _memberships(random, flat)
    return _cards(
        neurons=_neurons(random, flat, memberships),
        memberships=memberships,
        scores=_scores(random, flat),
        tokens=_tokens(random, flat, words),
        scripts=_scripts(random, flat),
        prompts=_prompts(random, flat),
        effects=_effects(random, flat),
        partners=_partners(random, flat),
        writes=_writes(random, flat),
    )


def planted(cards: Cards, **changed: Sequence[Mapping[str, Any]]) -> Cards:
    """Put the planted neuron among others, or in their place if they have it already.

    Args:
        cards: The others.
        changed: Rows of the planted neuron in place of `ROWS`, by name of the table.
    """
    found: dict[str, Any] = {}
    for name, rows in {**ROWS, **changed}.items():
        others: pd.DataFrame = getattr(cards, name)
        own = pd.DataFrame([{"neuron": PLANTED, **row} for row in rows])
        kept = others[others["neuron"] != PLANTED]
        whole = [kept, own.reindex(columns=list(kept.columns))] if len(own) else [kept]
        joined = tables.typed(whole, tables.COLUMNS[name])
        found[name] = joined.sort_values("neuron", kind="stable", ignore_index=True)
    return replace(cards, **found)


ROWS: dict[str, list[dict[str, Any]]] = {
    "neurons": [
        {
            "layer": 11,
            "index": 1532,
            "massive": True,
            "size": 3.25,
            "n_relation": 1,
            "n_fact": 1,
            "n_language_independent": 0,
            "n_language_specific": 1,
            "n_degenerate": 0,
            "best_relation": "capital",
            "best_language": "zh",
        }
    ],
    "memberships": [
        {
            "kind": "relation",
            "name": "capital",
            "label": "capital",
            "relation": "capital",
            "language": "zh",
            "rank": 0,
            "score": 0.875,
        },
        {
            "kind": "fact",
            "name": "capital:FR",
            "label": "France -> Paris",
            "relation": "capital",
            "language": "fr",
            "rank": 4,
            "score": 1.5,
        },
        {
            "kind": "language_specific",
            "name": "de",
            "label": "de",
            "relation": None,
            "language": "de",
            "rank": None,
            "score": None,
        },
    ],
    "scores": [
        {
            "language": language,
            "relation": relation,
            "average_precision": 0.875 if (language, relation) == ("zh", "capital") else 0.125,
            "mean": 2.5,
            "elsewhere": -0.25,
        }
        for language in (*LANGUAGES, "pooled")
        for relation in RELATIONS
    ],
    "tokens": [
        *(
            {
                "direction": direction,
                "script": script,
                "rank": rank,
                "token_id": 1000 + rank,
                "token": token,
                "logit": logit,
            }
            for direction, script, rank, token, logit in (
                ("promoted", "all", 0, TOKEN, 4.5),
                ("promoted", "all", 1, "首都", 4.25),
                ("promoted", "Latin", 0, TOKEN, 4.5),
                ("promoted", "Han", 0, "首都", 4.25),
                ("promoted", "Han", 1, "京城", 2.0),
                ("suppressed", "all", 0, "\n", -3.5),
            )
        )
    ],
    "scripts": [
        {"direction": "promoted", "script": "Latin", "share": 0.625},
        {"direction": "promoted", "script": "Han", "share": 0.375},
    ],
    "prompts": [
        {
            "end": end,
            "rank": 0,
            "language": "zh",
            "relation": "capital",
            "fact": "capital:FR",
            "prompt": prompt,
            "answer": "巴黎",
            "value": value,
        }
        for end, prompt, value in (
            ("strongest", "法国的首都是", 7.75),
            ("weakest", "法国的货币是", -1.25),
        )
    ],
    "effects": [
        {
            "measured_by": "cards",
            "language": None,
            "relation": "capital",
            "fact": None,
            "effect": -0.375,
            "low": -0.5,
            "high": -0.25,
            "n_prompts": 24,
            "unit": "nats",
        }
    ],
    "partners": [],
    "writes": [
        {
            "relation": "capital",
            "language": "zh",
            "auc": 0.9375,
            "random": 0.5,
            "p_value": 0.0005,
        }
    ],
}


def _cards(**given: pd.DataFrame) -> Cards:
    typed = {
        name: tables.typed([given[name]] if name in given else [], columns)
        for name, columns in tables.COLUMNS.items()
    }
    meta = {
        "n_layers": 20,
        "n_neurons": N_NEURONS,
        "languages": list(LANGUAGES),
        "relations": list(RELATIONS),
    }
    return Cards(meta, **typed)


def _words(random: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Return different made-up tokens of each script, every other one with a space before it."""
    found: dict[str, Any] = {}
    for script, letters in LETTERS.items():
        sizes = random.integers(2, 8, n)
        drawn = random.choice(list(letters), (n, 8))
        spaces = np.where(np.arange(n) % 2, "", " ")
        rows = zip(spaces, drawn, sizes, strict=True)
        found[script] = np.array([s + "".join(row[:k]) for s, row, k in rows], dtype=object)
    return found


def _texts(random: np.random.Generator, values: Sequence[str], n: int) -> np.ndarray:
    return np.array(values, dtype=object)[random.integers(0, len(values), n)]


def _memberships(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    """Put each neuron in one to five sets."""
    neuron = np.repeat(flat, random.integers(1, 6, len(flat)))
    n = len(neuron)
    kind, relation = _texts(random, tables.KINDS, n), _texts(random, RELATIONS, n)
    language = _texts(random, LANGUAGES, n)
    subject = random.integers(0, 200, n).astype(str).astype(object)
    of_fact = np.isin(kind, ["fact", "language_independent", "degenerate"])
    of_language = kind == "language_specific"
    name = np.where(of_fact, relation + ":" + subject, np.where(of_language, language, relation))
    rows = {
        "neuron": neuron,
        "kind": kind,
        "name": name,
        "label": np.where(of_fact, "Subject " + subject + " -> object", name),
        "relation": np.where(of_language, NOTHING, relation),
        "language": np.where(kind == "language_independent", NOTHING, language),
        "rank": random.integers(0, 100, n),
        "score": random.random(n),
    }
    return pd.DataFrame(rows).drop_duplicates(["neuron", "kind", "name", "language"])


def _neurons(
    random: np.random.Generator, flat: np.ndarray, memberships: pd.DataFrame
) -> pd.DataFrame:
    sets = pd.crosstab(memberships["neuron"], memberships["kind"]).reindex(
        index=flat, columns=list(tables.KINDS), fill_value=0
    )
    n = len(flat)
    counts = {f"n_{kind}": sets[kind].to_numpy() for kind in tables.KINDS}
    return pd.DataFrame(
        {
            "neuron": flat,
            "layer": flat // N_NEURONS,
            "index": flat % N_NEURONS,
            "massive": random.random(n) < 0.01,
            "size": random.lognormal(0, 1, n),
            **counts,
            "best_relation": _texts(random, RELATIONS, n),
            "best_language": _texts(random, LANGUAGES, n),
        }
    )


def _scores(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    languages, relations = (*LANGUAGES, "pooled"), RELATIONS
    each, n = len(languages) * len(relations), len(flat)
    return pd.DataFrame(
        {
            "neuron": np.repeat(flat, each),
            "language": np.tile(np.repeat(np.array(languages, dtype=object), len(relations)), n),
            "relation": np.tile(np.array(relations, dtype=object), n * len(languages)),
            "average_precision": random.random(n * each),
            "mean": random.normal(1, 1, n * each),
            "elsewhere": random.normal(0, 1, n * each),
        }
    )


def _tokens(
    random: np.random.Generator, flat: np.ndarray, words: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Give each neuron `PLACES` tokens of all scripts and `OWN_PLACES` of each, per direction."""
    every = np.concatenate(list(words.values()))
    parts, n = [], len(flat)
    for direction, sign in (("promoted", 1.0), ("suppressed", -1.0)):
        for script in ("all", *SCRIPTS):
            k = PLACES if script == "all" else OWN_PLACES
            drawn = random.choice(every if script == "all" else words[script], n * k)
            sizes = np.sort(random.lognormal(0.5, 0.5, (n, k)), axis=1)[:, ::-1].ravel()
            part = {
                "neuron": np.repeat(flat, k),
                "direction": direction,
                "script": script,
                "rank": np.tile(np.arange(k), n),
                "token_id": random.integers(0, 100_000, n * k),
                "token": drawn,
                "logit": sign * sizes,
            }
            parts.append(pd.DataFrame(part))
    return pd.concat(parts).sort_values("neuron", kind="stable", ignore_index=True)


def _scripts(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    shares = random.dirichlet(np.ones(len(SCRIPTS)), (len(flat), 2)).ravel()
    n = len(flat)
    return pd.DataFrame(
        {
            "neuron": np.repeat(flat, 2 * len(SCRIPTS)),
            "direction": np.tile(np.repeat(["promoted", "suppressed"], len(SCRIPTS)), n),
            "script": np.tile(SCRIPTS, 2 * n),
            "share": shares,
        }
    )


def _prompts(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    n = len(flat) * 2 * N_PROMPTS
    relation = _texts(random, RELATIONS, n)
    subject = random.integers(0, 200, n).astype(str).astype(object)
    return pd.DataFrame(
        {
            "neuron": np.repeat(flat, 2 * N_PROMPTS),
            "end": np.tile(np.repeat(["strongest", "weakest"], N_PROMPTS), len(flat)),
            "rank": np.tile(np.arange(N_PROMPTS), 2 * len(flat)),
            "language": _texts(random, LANGUAGES, n),
            "relation": relation,
            "fact": relation + ":" + subject,
            "prompt": "The " + relation + " of Subject " + subject + " is",
            "answer": "object " + subject,
            "value": random.normal(0, 3, n),
        }
    )


def _effects(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    effect, half = random.normal(0, 0.2, len(flat)), random.random(len(flat)) / 5
    return pd.DataFrame(
        {
            "neuron": flat,
            "measured_by": "cards",
            "language": None,
            "relation": _texts(random, RELATIONS, len(flat)),
            "fact": None,
            "effect": effect,
            "low": effect - half,
            "high": effect + half,
            "n_prompts": 24,
            "unit": "nats",
        }
    )


def _partners(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    """Give each neuron three partners."""
    n = 3 * len(flat)
    paired = random.random(n) < 0.3
    subject = random.integers(0, 200, n).astype(str).astype(object)
    return pd.DataFrame(
        {
            "neuron": np.repeat(flat, 3),
            "partner": random.choice(flat, n),
            "kind": np.where(paired, "degenerate", "co_selected"),
            "count": random.integers(1, 9, n),
            "expected": np.where(paired, np.nan, random.random(n)),
            "interaction": np.where(paired, random.random(n), np.nan),
            "fact": np.where(paired, "capital:" + subject, NOTHING),
            "language": np.where(paired, "en", NOTHING),
        }
    )


def _writes(random: np.random.Generator, flat: np.ndarray) -> pd.DataFrame:
    n = len(flat) * len(RELATIONS)
    return pd.DataFrame(
        {
            "neuron": np.repeat(flat, len(RELATIONS)),
            "relation": np.tile(RELATIONS, len(flat)),
            "language": "en",
            "auc": random.random(n),
            "random": random.normal(0.5, 0.02, n),
            "p_value": random.random(n),
        }
    )
