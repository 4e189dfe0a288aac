"""Check every section of params.yaml, alone and against the model, before the expensive work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import activations
import attributions
import degenerate_neurons
import editing
import effects
import facts
import interference
import knowledge
import language_neurons
import model
import recall
import relation_neurons
import report
import selection
from neuron_atlas import checks
from neuron_atlas.builtin_facts import builtin
from neuron_atlas.pipeline import params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.wording import templates

SCRIPTS: tuple[ModuleType, ...] = (
    model,
    facts,
    recall,
    activations,
    relation_neurons,
    interference,
    effects,
    attributions,
    selection,
    language_neurons,
    degenerate_neurons,
    editing,
    knowledge,
    report,
)


def main(model_folder: Path, out: Path, /) -> None:
    """Write a constant, so that a changed parameter alone re-runs no other stage."""
    languages = params.load_languages()
    checks.codes(languages)
    sections = {
        script.__name__: params.load(script.__name__, script.Params).model_dump()
        for script in SCRIPTS
    }
    provenance = store.read_json(model_folder / "provenance.json")
    _check_facts(sections["facts"], languages, encoder=provenance["architecture"]["encoder"])
    checks.site(sections["activations"]["site"], provenance["architecture"])
    checks.replaced(
        "interference",
        value=sections["interference"]["value"],
        positions=sections["interference"]["positions"],
        pooling=sections["activations"]["pooling"],
    )
    checks.size(sections["relation_neurons"]["k"], provenance)
    checks.demonstrations(sections["recall"]["shots"], sections["facts"])
    checks.stored(sections)
    store.write_json(out, {"checked": True})


def _check_facts(section: Mapping[str, Any], languages: Sequence[str], *, encoder: bool) -> None:
    """Check templates and relations as far as they are known before any data are read."""
    if section["relations"] is not None:
        checks.relations(section["relations"])
    folder = Path(section["templates"])
    checks.templates(templates.lint(folder, encoder=encoder or section["source"] != "builtin"))
    if section["source"] == "builtin":
        checks.languages(languages, templates.languages(folder), folder)
        builtin.check(section["relations"] or builtin.DEFAULT)
        for code in languages:
            templates.load(code, folder).first(section["paraphrases"])


if __name__ == "__main__":
    run(main)
