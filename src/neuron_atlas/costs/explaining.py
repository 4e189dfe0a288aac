"""The work of the stages that find a fact's neurons and change them. One formula per stage.

As in `asking`, formulas are of the whole run.
"""

from math import log2

from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.passes import HALF, Passes, Work
from neuron_atlas.costs.settings import Settings

STEPS = 3  # evaluations per path that a tolerance of 0.01 asks for
SAMPLE = 6  # prompts on which they are found
FULL, MIDDLE = 0.13, 0.18  # shares of the paths that the screen integrates with all steps, with two
PUBLISHED_STEPS = 20  # per layer, in the code of Chen et al. 2024
PUBLISHED_SHARE = 0.31  # of the peak: with GPT-2 small's shape on two cores
BACK = 2  # a backward pass that also asks for the weights' gradients costs two forward ones
METHODS = 9  # that are compared
CLAIMED = 0.8  # of a relation's facts whose subject and answers are in one split
TOGETHER = 2  # facts that are edited together, at most
SMALL = 0.8  # of a fact's strongest neurons cost little alone, and are paired
ALONE = 0.75  # of the layers: those below the lowest edited neuron are not run again


def attributions(given: Passes, how: Settings) -> Work:
    """The known facts in each selecting template: path integrals, those from 0, and a gradient.

    With w words hidden in turn, and for each of the answer's tokens: the prompt; the tokens behind
    each hidden word; a row forward and back; w * layers paths, of which the screen keeps some, each
    of steps - 1 rows that enter at their layer; layers * zero_steps rows. One prompt in so many
    templates is checked: all paths' ends, without screen.
    """
    plan, size = how.attributions, given.size
    facts = size.known(plan.max_facts) * size.languages
    n = facts * size.selecting_templates
    search = Work()
    if plan.steps is None:
        search = integrated(given, how, screened=True) * 2 + integrated(given, how, screened=False)
    checked = _rows(given, paths(given, how), back=False) + _rows(given, 1, back=False)
    return one_prompt(given, how) * n + checked * facts + search * (SAMPLE * size.languages)


def paths(given: Passes, how: Settings) -> Amount:
    """Return the paths per layer: one for each hidden word, or a single one."""
    return given.size.words if how.attributions.baseline == "occlusion" else 1.0


def one_prompt(given: Passes, how: Settings) -> Work:
    """Return the work of one prompt by all methods of the stage, for all tokens of the answer."""
    zero = _rows(given, how.attributions.zero_steps, back=True)
    return clean(given, how) + integrated(given, how, screened=True) + zero


def clean(given: Passes, how: Settings) -> Work:
    """Return a clean pass with its gradients, and one with each word hidden."""
    size, n = given.size, given.size.answer_tokens
    hidden = paths(given, how) if how.attributions.baseline == "occlusion" else 0.0
    tokens = n * given.whole * (1 + hidden * (1 if given.shape.encoder else HALF))
    return given.tokens(tokens) + given.full_rows(size.answer_tokens, back=True)


def integrated(given: Passes, how: Settings, *, screened: bool) -> Work:
    """Return the rows of one prompt's paths."""
    plan, per_layer = how.attributions, paths(given, how)
    steps = plan.steps or STEPS
    own = plan.rule == "radau"  # one node is shared by all paths
    if not (screened and plan.screen):
        return _rows(given, per_layer * (steps - own), back=True)
    middle = min(2, steps) - own
    kept = FULL * (steps - own) + MIDDLE * middle
    return _rows(given, per_layer * kept, back=True)


def _rows(given: Passes, per_layer: Amount, *, back: bool) -> Work:
    """Return rows that enter at each layer, for each token of an answer."""
    n = given.size.answer_tokens * given.shape.layers * per_layer
    return given.layer_rows(n, back=back)


def published_attributions(given: Passes, how: Settings) -> Work:
    """Return what the code of Chen et al. 2024 would compute for the same prompts.

    20 steps for each layer and token of the answer, each a pass of the whole prompt forward and
    back, with the head at all positions.
    """
    plan, size = how.attributions, given.size
    n = size.known(plan.max_facts) * size.languages * size.selecting_templates
    passes = n * size.answer_tokens * given.shape.layers * PUBLISHED_STEPS * (1 + BACK)
    return given.tokens(passes * given.whole) + given.head(passes * given.whole)


def attribution_methods(given: Passes, how: Settings) -> Work:
    """One prompt per fact by nine methods, then single neurons and sets off, exactly.

    Two methods integrate all paths or the screened ones; single neurons are a row for each hidden
    word and three other values; sets are rows through all layers, two for each method and size.
    """
    plan, size = how.attribution_methods, given.size
    n = size.known(plan.max_facts) * size.languages
    answer, whole = size.answer_tokens, integrated(given, how, screened=False)
    sampled = 2.8 * plan.top + plan.per_layer * given.shape.layers * 2
    drops = given.layer_rows(answer * sampled * (paths(given, how) + 3), back=False)
    sizes = 1 + log2(plan.largest)
    sets = given.full_rows(answer * METHODS * 2 * sizes, back=False)
    between = given.tokens(answer * given.whole * 2 * plan.input_steps)
    means = given.tokens(size.relations * plan.mean_prompts * given.whole) * size.languages
    return (one_prompt(given, how) + whole + drops + sets + between) * n + means


def selection(given: Passes, how: Settings) -> Work:
    """Each attributed fact's sets, off and doubled, on its prompt and on unrelated ones."""
    plan, size = how.selection, given.size
    n = size.known(how.attributions.max_facts) * size.languages
    arms = 2 * (4 + plan.n_draws) * (1 + plan.n_unrelated)
    return given.asked(n, arms)


def degenerate_neurons(given: Passes, how: Settings) -> Work:
    """Single neurons and pairs off, on each attributed fact's prompt; then claims, with gradients.

    Singles: candidates * (1 + tried) and random ones; pairs of those that cost little: of the
    fact's own, of their controls, and of random ones. A claim costs a prompt, and a row forward and
    back; each prompt of a claim is asked for all candidates.
    """
    plan, size = how.degenerate_neurons, given.size
    n = size.known(how.attributions.max_facts) * size.languages
    search = plan.search
    singles = search.candidates * (1 + search.tried) + search.random * search.n_draws
    pairs = 2 * _pairs(SMALL * search.candidates) + search.n_draws * _pairs(search.random)
    sets = given.asked(n, singles, weak=True) + given.asked(n, pairs, weak=True)
    facts = size.relations * size.languages
    most = plan.claims.n_train + plan.claims.n_validation + plan.claims.n_test
    made = min(most, size.per_relation * CLAIMED)
    claims = facts * made * (1 + plan.claims.n_negatives) * size.answer_tokens
    scored = given.tokens(claims * given.whole) + given.full_rows(claims, back=True)
    few = min(plan.claims.n_validation + plan.claims.n_test, size.per_relation * CLAIMED / 2)
    tested = facts * few
    inner = size.candidates * size.inner_tokens
    whole = given.tokens(tested * (given.own + inner)) + given.head(tested * (1 + inner))
    return sets + scored + whole


def _pairs(n: Amount) -> Amount:
    return n * (n - 1) / 2


def editing(given: Passes, how: Settings) -> Work:
    """Each edit is fitted by descent, scaled by two passes, and measured as a real edit.

    Facts that three languages know; of each, four sets, random ones where it has an independent
    set, and two edits of a whole matrix, in layers that were tried on other facts. A real edit
    acts at all positions: its prompts run again from the layer of its lowest neuron.
    """
    plan, size = how.editing, given.size
    if size.languages <= plan.n_sources:
        return Work()
    n = size.relations * min(plan.max_facts, size.per_relation * size.shared)
    edits = 5 + 0.6 * (1 + plan.n_draws)
    prompts = plan.n_sources * max(1, size.selecting_templates - 1)
    steps = plan.descent.steps * (1 + 1 / plan.n_sources)
    fitted = given.layer_rows(edits * prompts * steps, back=True)
    measured = 6 + plan.n_unrelated + 2 * max(0, size.languages * size.right - plan.n_sources)
    scaled = 2.0 * max(1, size.selecting_templates - 1)
    runs = (edits + 2) * (measured + scaled) * ALONE + measured
    asked = given.tokens(runs * (given.whole + size.answer_tokens))
    asked += given.head((edits + 3) * measured * 2 * size.answer_tokens)
    whole = _matrix_edits(given, how, prompts)
    tried = plan.baselines.n_facts * min(plan.baselines.layers, given.shape.layers) / max(n, 1)
    arms = 2 * (edits - 1)
    operations = given.asked(measured, arms)
    missing = (clean(given, how) + integrated(given, how, screened=True)) * prompts * 0.5
    each = (fitted + asked + whole * (1 + tried) + operations + missing) * n
    return each + _keys(given, how, n)


def _keys(given: Passes, how: Settings, n: Amount) -> Work:
    """Return the covariances of keys: a pass over some tokens, and all pairs of keys per fit.

    ROME is fitted once for each layer that is tried, and once for each group of facts.
    """
    shape, size, bounds = given.shape, given.size, how.editing.baselines
    there = size.prompts * size.languages * size.right * (size.prompt_tokens - 1)
    tokens = min(bounds.n_tokens, there)
    fits = min(bounds.layers, shape.layers) + n / TOGETHER
    return given.tokens(tokens) + Work(body=2.0 * shape.neurons * tokens**2 * fits)


def _matrix_edits(given: Passes, how: Settings, prompts: Amount) -> Work:
    """Return the fits of both edits of a matrix: passes over the prompts, forward and back."""
    passes = how.editing.descent.steps * 2 * 2
    return given.tokens(passes * prompts * given.whole * HALF)


def cards(given: Passes, how: Settings) -> Work:
    """What each neuron of a set promotes, what all write, and single neurons of pooled sets off."""
    size, shape = given.size, given.shape
    sets = size.relations * (1 + size.languages * size.eligible) * how.relation_neurons.k
    carded = min(shape.all_neurons, 0.75 * sets)
    asked = size.relations * how.cards.effect_facts * size.languages * size.eligible
    effects = given.asked(asked, how.relation_neurons.k, weak=True)
    written = size.languages * size.candidates * size.relations
    areas = Work(body=2.0 * shape.all_neurons * shape.d_model * written)
    return given.head(carded) + effects + areas
