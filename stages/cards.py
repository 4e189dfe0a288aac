"""Say of each neuron that is in a set what is known of it, and what it writes."""

from pathlib import Path

from neuron_atlas.arms.settings import Interference
from neuron_atlas.cards import build, inputs
from neuron_atlas.cards.settings import CardPlan
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed
from neuron_atlas.relation_neurons.settings import SetPlan
from neuron_atlas.scoring.settings import Scoring

Params = CardPlan


def main(folders: inputs.Folders, /) -> None:
    """Write the tables of the cards, and `meta.json`."""
    languages = load_languages()
    how = build.Settings(
        plan=load("cards", Params),
        relations=load("relation_neurons", SetPlan),
        facts=load("language_neurons", SharingRule),
        off=load("interference", Interference),
        tolerance=load("scoring", Scoring).tolerance,
        seed=load_seed(),
    )
    given = inputs.read_inputs(folders, languages)
    files = [Path(__file__), *folders.files(languages)]
    key = checkpoints.key("cards", files, how.as_dict())
    build.Work(language_model.load(folders.model), given, how, key).write(folders.cards)


if __name__ == "__main__":
    run(main)
