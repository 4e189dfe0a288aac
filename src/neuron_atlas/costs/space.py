"""What a stage takes on disk and in memory, next to the model's weights."""

from dataclasses import dataclass

from neuron_atlas.activations.neuron_blocks import BYTES, STEP
from neuron_atlas.arms.replacements import HELD, PROMPTS
from neuron_atlas.cards.tokens import CELLS
from neuron_atlas.costs import asking
from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.passes import Passes
from neuron_atlas.costs.settings import Settings
from neuron_atlas.detectors import probe

BATCH = 4096  # tokens of a padded batch
WIDE = 6  # numbers per token and width of a block that are held at a time
GROUP = 6  # prompts whose arms are measured together
FLOAT, DOUBLE = 4, 8  # bytes of a number where the code computes in float32, in float64
ASKED = 240  # bytes of a compressed table per prompt and language, seen in the default run
CARD = 6  # times as many are those of the cards
ROW = 12  # bytes per neuron and language of the tables of activity and size
SCORES = 3  # numbers of a neuron and unit, beside one per template: both halves', and the test's
TWICE = 2  # the layers' scores and all of them stacked; parts are copied once the former are gone
SHARED = 0.25  # of the chimeras, those that are left of a language's, seen in the default run
BLOCKS = 6  # times a block's values in double precision are what is made of them
PROBE = 4  # matrices of prompts by prompts: products, directions, coordinates, and work space
STANDARDISED = 3  # copies of a block in double precision beside them
ARMS = frozenset({"interference", "sufficiency", "other_selectors", "transfer"})
INSTALLING = frozenset({"sufficiency", "other_selectors"})  # each relation in all others
DIRECTIONS = frozenset({"interference", "sufficiency"})  # of the residual stream, as controls


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


def space(name: str, given: Passes, how: Settings, *, number_bytes: int) -> Space:
    """Return what a stage takes, next to the model's weights.

    Recorded values are prompts * neurons in the model's precision, one file per layer.

    Args:
        name: The stage.
        given: The model and the run.
        how: The settings.
        number_bytes: Of a weight.
    """
    size, shape, n = given.size, given.shape, given.shape.all_neurons
    batch = _batch(given, number_bytes)
    recorded = size.recorded * n * number_bytes * size.languages
    small = _tables(given)
    if name == "activations":
        return Space(recorded, BATCH * n * number_bytes / given.whole, batch)
    if name == "relation_neurons":
        return _ranking(given, how)
    if name in ARMS:
        return _arms(name, given, how, number_bytes)
    if name == "language_specific":
        return Space(ROW * n * size.languages, BATCH * n * FLOAT / 16, batch)
    if name == "cards":
        values = size.recorded * shape.neurons * FLOAT
        tokens = shape.embeddings * number_bytes + CELLS * FLOAT  # by script, and their logits
        host = values + n * FLOAT * size.relations * size.languages * 2
        return Space(small * CARD, host, batch + tokens)
    if name in ("attributions", "attribution_methods"):
        return Space(small, 100 * n * FLOAT, batch * 2)
    return Space(small, 20 * n * FLOAT, batch)


def _batch(given: Passes, number_bytes: int) -> Amount:
    """Return the bytes of a batch's values."""
    return BATCH * WIDE * (given.shape.d_model + given.shape.neurons) * number_bytes


def _tables(given: Passes) -> Amount:
    """Return the bytes of a stage's tables on disk, at the most; some ask few of the prompts."""
    return given.size.prompts * given.size.languages * ASKED


def _ranking(given: Passes, how: Settings) -> Space:
    """Return what ranking neurons takes.

    Kept are `SCORES` numbers, and one per selecting template, of each neuron and unit: a relation,
    the same with its gaps and the probe, a chimera of the language's own or one that languages
    share. Blocks are scored first, and the probe is fitted when they are gone.
    Other languages' scores are mapped from files that stay on disk, without their own chimeras.
    """
    size, n = given.size, given.shape.all_neurons
    each = (SCORES + size.selecting_templates) * n * FLOAT
    relations, chimeras = 2 * size.with_sets, how.relation_neurons.n_chimeras
    beside = max(BLOCKS * _block(given, max(size.selecting, size.held_out)), _probe(given))
    kept = each * (relations + SHARED * chimeras) * size.languages
    tables = ROW * n * (size.languages + 1)
    return Space(tables + kept, TWICE * each * (relations + 2 * chimeras) + beside, 0.0)


def _block(given: Passes, prompts: Amount) -> Amount:
    """Return the bytes of a block of neurons in double precision, of some prompts."""
    neuron = DOUBLE * prompts
    return min(max(BYTES, STEP * neuron), given.shape.neurons * neuron)


def _probe(given: Passes) -> Amount:
    """Return the bytes that fitting the probe takes."""
    fitted = min(given.size.selecting, probe.MOST)
    return PROBE * DOUBLE * fitted**2 + STANDARDISED * _block(given, fitted)


def _arms(name: str, given: Passes, how: Settings, number_bytes: int) -> Space:
    """Return what measuring arms takes.

    The device makes one layer's down-projection in float32 at a time, the host holds the values of
    prompts that select neurons. Where directions are among the controls, the device makes the
    layer's columns in float64, too, and the host holds a matrix d_model * d_model for each layer.
    """
    shape, n = given.shape, given.shape.all_neurons
    arms = asking.interference_arms(how, given.size.with_sets) * GROUP * n
    columns = shape.d_model * shape.neurons
    device = _batch(given, number_bytes) + arms + (columns * FLOAT if number_bytes < FLOAT else 0)
    host = _values(name, given) + arms
    if name in DIRECTIONS:
        device += columns * DOUBLE
        host += shape.layers * shape.d_model**2 * DOUBLE
    return Space(_tables(given), host, device)


def _values(name: str, given: Passes) -> Amount:
    """Return the bytes of the values that arms are matched on; see `replacements.selecting_values`.

    Of each relation at most `PROMPTS` prompts. Where relations are installed, each holds a copy of
    the values of all that are asked, of at most `PROMPTS` prompts together. Neither takes more than
    `HELD` bytes, but for one prompt of each relation.
    """
    size, prompt = given.size, FLOAT * given.shape.all_neurons
    relations = size.with_sets
    most = max(1, min(PROMPTS, HELD // (relations * prompt)))
    own = min(size.selecting, most * relations)
    installed = relations * min(size.selecting, max(most, relations))
    if name not in INSTALLING:
        return own * prompt
    return (installed + (own if name == "other_selectors" else 0)) * prompt
