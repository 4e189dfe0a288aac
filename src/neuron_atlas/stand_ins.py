"""Templates of our own for relations that a source cannot ask a decoder for."""

from collections.abc import Mapping
from pathlib import Path

from neuron_atlas.params import read_yaml

FILE = Path(__file__).with_name("relation_labels.yaml")


def stand_ins(language: str) -> Mapping[str, str]:
    """Return one template a relation, which names it without a sentence: "France, capital: …".

    Empty for a language that has none.
    """
    content = read_yaml(FILE)
    form = content["form"].get(language)
    if form is None:
        return {}
    return {
        relation: form.replace("{label}", labels[language])
        for relation, labels in content["labels"].items()
        if language in labels
    }
