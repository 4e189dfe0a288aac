"""Every stage whose cost grows with the model or the facts: its work, its disk and its memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neuron_atlas.activations.neuron_blocks import BYTES
from neuron_atlas.costs import asking, explaining
from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.passes import Passes, Work
from neuron_atlas.costs.settings import Settings

Formula = Callable[[Passes, Settings], Work]
WORK: Mapping[str, Formula] = {
    "answers": asking.answers,
    "recall": asking.recall,
    "activations": asking.activations,
    "relation_neurons": asking.relation_neurons,
    "interference": asking.interference,
    "sufficiency": asking.sufficiency,
    "other_selectors": asking.other_selectors,
    "language_specific": asking.language_specific,
    "transfer": asking.transfer,
    "attributions": explaining.attributions,
    "attribution_methods": explaining.attribution_methods,
    "selection": explaining.selection,
    "degenerate_neurons": explaining.degenerate_neurons,
    "editing": explaining.editing,
    "cards": explaining.cards,
}
PER_LANGUAGE = frozenset(
    {
        *("answers", "recall", "activations", "interference", "sufficiency", "other_selectors"),
        *("attributions", "attribution_methods", "selection", "degenerate_neurons"),
    }
)
MODEL = "model"
BATCH = 4096  # tokens of a padded batch
WIDE = 6  # numbers per token and width of a block that are held at a time
GROUP = 6  # prompts whose arms are measured together
FLOAT = 4  # bytes of a number where the code computes in float32
ROW = 12  # bytes per neuron and language of the tables of activity and size
KINDS = 6  # numbers that are kept of a neuron for each relation or chimera
TWICE = 2
BLOCKS = 6  # times a block's values in double precision are what is made of them
WITHOUT_MODEL = frozenset({"relation_neurons"})


@dataclass(frozen=True)
class Space:
    """What a stage takes.

    Attributes:
        disk: Bytes that it writes, of all languages.
        host: Bytes of the host's memory at a time, without the weights.
        device: Bytes of the device's memory at a time, without the weights.
    """

    disk: Amount
    host: Amount
    device: Amount


def work(given: Passes, how: Settings) -> dict[str, Work]:
    """Return the work of every stage, of the whole run."""
    return {name: formula(given, how) for name, formula in WORK.items()}


def space(name: str, given: Passes, how: Settings, *, number_bytes: int) -> Space:
    """Return what a stage takes, next to the model's weights.

    Recorded values are prompts * neurons in the model's precision, one file per layer. Ranking
    neurons keeps `KINDS` numbers per neuron for each relation and chimera of one language, twice
    while they are put together; other languages' are mapped from disk. Stages that match controls
    keep the values of the prompts that select neurons, in float32.

    Args:
        name: The stage.
        given: The model and the run.
        how: The settings.
        number_bytes: Of a weight.
    """
    size, shape, n = given.size, given.shape, given.shape.all_neurons
    batch = BATCH * WIDE * (shape.d_model + shape.neurons) * number_bytes
    recorded = size.recorded * n * number_bytes * size.languages
    small = size.prompts * size.languages * 2e3
    if name == "activations":
        return Space(recorded, BATCH * n * number_bytes / given.whole, batch)
    if name == "relation_neurons":
        units = 2 * size.with_sets + 2 * how.relation_neurons.n_chimeras
        scores = TWICE * KINDS * units * n * FLOAT + BLOCKS * BYTES
        return Space(ROW * n * (size.languages + 1), scores, 0.0)
    if name in ("interference", "sufficiency", "other_selectors", "transfer"):
        arms = asking.interference_arms(how, size.with_sets) * GROUP
        kept = size.selecting * n * FLOAT
        return Space(small, kept + arms * n, batch + arms * n)
    if name == "language_specific":
        return Space(ROW * n * size.languages, BATCH * n * FLOAT / 16, batch)
    if name == "cards":
        values = size.recorded * shape.neurons * FLOAT
        return Space(small * 4, values + n * FLOAT * size.relations * size.languages * 2, batch)
    if name in ("attributions", "attribution_methods"):
        return Space(small, 100 * n * FLOAT, batch * 2)
    return Space(small, 20 * n * FLOAT, batch)
