"""Check params.yaml as far as it can be known before the model and the facts are there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuron_atlas.builtin_facts import relations
from neuron_atlas.checks import against_model, rules, sections
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.language_specific.settings import require_texts
from neuron_atlas.model import preview
from neuron_atlas.model.settings import ModelChoice, chosen, parse_source, require_sha256
from neuron_atlas.pipeline import params
from neuron_atlas.pipeline.params import PARAMS
from neuron_atlas.sources.glance import require_two_relations
from neuron_atlas.sources.settings import require_files
from neuron_atlas.wording import templates


def check(path: Path = PARAMS) -> None:
    """Check every section alone, against the others, and against what is known of the model.

    Raises:
        ValueError: a value is refused; the message names its key and what would be accepted.
    """
    languages = params.load_languages(path)
    rules.codes(languages)
    params.load_seed(path)
    values = sections.load(path)
    facts, activations = values["facts"], values["activations"]
    model = params.load("model", ModelChoice, path)
    require_sha256(model.sha256)
    known = preview.look(parse_source(model.source, model.revision))
    chosen(model)
    _check_facts(facts, languages)
    source = params.load("facts", Facts, path)
    require_files(source)
    if source.source in ("jsonl", "csv"):
        require_two_relations(source.path)
    require_texts(values["language_specific"]["texts"], languages)
    rules.replaced(
        "interference",
        value=values["interference"]["value"],
        positions=values["interference"]["positions"],
        pooling=activations["pooling"],
    )
    rules.controls(values["interference"])
    recall = values["recall"]
    rules.demonstrations("recall.shots", recall["shots"], facts)
    if recall["demonstrations"]["blocks"]:
        name = "recall.demonstrations.shots"
        rules.demonstrations(name, recall["demonstrations"]["shots"], facts)
    rules.stored(values)
    against_model.check(
        known,
        site=activations["site"],
        k=values["relation_neurons"]["k"],
        source=facts["source"],
        folder=facts["templates"],
    )


def _check_facts(section: Mapping[str, Any], languages: Sequence[str]) -> None:
    """Check templates and relations as far as they are known before any data are read."""
    if section["relations"] is not None:
        rules.relations(section["relations"])
    folder = section["templates"]
    rules.templates(templates.lint(folder, encoder=True))  # as if any text could be asked
    if section["source"] == "builtin":
        rules.languages(languages, templates.languages(folder), folder)
        relations.check(section["relations"] or relations.DEFAULT, name="facts.relations")
        for code in languages:
            templates.load(code, folder, encoder=True).first(section["paraphrases"])
