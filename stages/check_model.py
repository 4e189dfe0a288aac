"""Check the parameters whose range the model decides, once it is there."""

from pathlib import Path

from neuron_atlas.activations.settings import Recording
from neuron_atlas.checks import against_model, mark
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.model import preview
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, read_yaml
from neuron_atlas.relation_neurons.settings import SetPlan


def main(provenance: Path, out: Path, /) -> None:
    """Write a constant, as `check` does."""
    facts = load("facts", Facts)
    against_model.check(
        preview.of_provenance(read_yaml(provenance)),  # JSON is YAML too
        site=load("activations", Recording).site,
        k=load("relation_neurons", SetPlan).k,
        source=facts.source,
        folder=facts.templates,
    )
    mark.write(out)


if __name__ == "__main__":
    run(main)
