"""What the subjects and objects of one relation are called in one language, and what is true."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from neuron_atlas.facts.labels import caseless


@dataclass(frozen=True)
class Labels:
    """One relation in one language: the labels of its subjects and objects, and what is true.

    Attributes:
        subjects: Subject id to its label, in the aligned triples.
        objects: Object id to its label, in the aligned triples.
        triples: Subject id to its object ids, in the aligned triples.
        called: Object id to all its labels, caseless, in all triples as read.
        same_name: Subject label, caseless, to the object ids of all subjects so called, as read.
    """

    subjects: Mapping[str, str]
    objects: Mapping[str, str]
    triples: Mapping[str, set[str]]
    called: Mapping[str, set[str]]
    same_name: Mapping[str, set[str]]


def labels_of(table: pd.DataFrame, read: pd.DataFrame, relation: str) -> Labels:
    """Collect one relation's labels from the aligned triples, and what is true from all read."""
    rows, every = (t[t["relation"] == relation] for t in (table, read))
    named = []
    for thing in ("subject", "object"):
        first = rows.drop_duplicates(thing)
        named.append(dict(zip(first[thing], first[f"{thing}_label"].str.strip(), strict=True)))
    low = {t: every[f"{t}_label"].str.strip().map(caseless) for t in ("subject", "object")}
    return Labels(
        subjects=named[0],
        objects=named[1],
        triples=_gathered(rows["subject"], rows["object"]),
        called=_gathered(every["object"], low["object"]),
        same_name=_gathered(low["subject"], every["object"]),
    )


def _gathered(keys: pd.Series, values: pd.Series) -> dict[str, set[str]]:
    found = defaultdict[str, set[str]](set)
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        found[key].add(value)
    return found
