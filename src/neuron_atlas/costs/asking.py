"""The work of the stages that ask facts: as they are, and under arms. One formula per stage.

All formulas are of the whole run, all languages together. They count what the stages' code does;
`benchmarks/costs.json` has what they say beside what was counted.
"""

from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.passes import INSTALLED, SEQUENCE, Passes, Work
from neuron_atlas.costs.run_size import HELD_OUT
from neuron_atlas.costs.settings import Settings
from neuron_atlas.detectors.block_precision import MANY

SEEN = 0.6  # tested facts per relation and language whose answers found neurons
SELECTORS, BESIDE = 5, 1.4  # sets per relation by other selectors, and sets beside them
RIVALS = 0.3  # of the candidates, those that are as probable as the right one for a while
PADDED = 2.0  # times the tokens of rounds are those of the padded ones
SORTED = 40  # pairs whose comparison takes as long as a sorted value's place in one more block
SORTING = 60  # the same of putting a value in its order
HALF_OF_PROMPTS = 0.34  # of all prompts: halves of subjects and answers, in selecting templates
WRITTEN = 4.0  # tokens that a text has on average when it is decided


def answers(given: Passes, how: Settings) -> Work:
    """Every prompt once; then the inner tokens of the candidates that contend.

    prompts * own tokens through the blocks; a sum over the vocabulary per prompt, and one per inner
    token of the `recall.exact_ranks` best candidates, of all if it is null. Inner tokens run in
    rounds, padded to the prompt with the most.
    """
    size = given.size
    inner = _contending(given, how.recall.exact_ranks) * size.inner_tokens
    n = size.prompts * size.languages
    return given.prompts(n) + given.tokens(n * PADDED * inner) + given.head(n * (1 + inner))


def recall(given: Passes, how: Settings) -> Work:
    """The held-out facts once more after each block of demonstrations.

    half of the facts * blocks, each with the tokens of its demonstrations, which few prompts share
    in one sequence: each has those that do not hold its answer.
    """
    size, shown = given.size, how.recall.demonstrations
    n = size.facts * size.languages / 2 * shown.blocks
    inner = _contending(given, how.recall.exact_ranks and 1) * size.inner_tokens
    own = given.own + _shared_context(given, how) + PADDED * inner
    return given.tokens(n * own) + given.head(n * (1 + inner))


def _contending(given: Passes, exact: int | None) -> Amount:
    """Return the candidates that are scored to their ends: the best ones, and rivals beside."""
    every = given.size.candidates
    return every if exact is None else min(every, max(exact, 1 + RIVALS * every))


def activations(given: Passes, _how: Settings) -> Work:
    """Each prompt whose fact is right at least once: its tokens through the blocks, no head."""
    return given.prompts(given.size.recorded * given.size.languages)


def relation_neurons(given: Passes, how: Settings) -> Work:
    """No pass of the model: on each half, each value is compared with those of its neuron.

    Both halves' right prompts are compared, block by block of a relation and template; the half
    that tests has the blocks of the template that only tests, too.
    """
    size, chimeras = given.size, how.relation_neurons.n_chimeras
    first = _counted(size.selecting, size.with_sets * size.selecting_templates, 2 * chimeras)
    second = _counted(size.held_out, size.with_sets * size.templates, 2 * chimeras)
    return Work(compared=size.languages * (first + second) * given.shape.all_neurons)


def _counted(prompts: Amount, blocks: int, chimeras: int) -> Amount:
    """Return the pairs of one neuron's values that ranking some prompts costs.

    prompts * the block's own, for each block; from `block_precision.MANY` prompts of a block on the
    values are sorted, and each costs `SORTED` pairs per block. Chimeras and relations take one sum
    per value and block.
    """
    own = prompts / blocks
    per_cell = own if own < MANY else SORTED
    ordered = SORTING if own >= MANY else 0
    return prompts * (blocks * per_cell + ordered + blocks + chimeras)


def interference(given: Passes, how: Settings) -> Work:
    """Every arm on the held-out facts, fewer of them after demonstrations, and what is written.

    facts * arms of `interventions.relation_arms.interference_arms`; facts * (blocks, and seen
    ones) * (1 + n_across_draws); facts * (2 + n_dose_draws) * tokens written, each of which costs a
    sum over the vocabulary.
    """
    size, plan, r = given.size, how.interference, given.size.with_sets
    facts = size.tested(r, plan.max_facts)
    few = 1 + plan.n_across_draws
    seen = r * min(plan.max_seen, SEEN)
    alone = given.measured(facts, interference_arms(how, r)) + given.measured(seen, few)
    blocks = how.recall.demonstrations.blocks
    context = _shared_context(given, how)
    shown = given.measured((facts + seen) * blocks, few, context=context)
    n = facts * (2 + plan.n_dose_draws) * (0 if given.shape.encoder else WRITTEN)
    written = given.tokens(n) + given.head(n) + given.prompts(facts)
    return (alone + shown + written) * size.languages


def interference_arms(how: Settings, relations: int) -> int:
    """Return the arms of one relation's questions: sets, controls, pairs, doses and curves."""
    plan, others = how.interference, relations - 1
    own = 1 + plan.n_across_draws + plan.n_draws + plan.n_across_draws
    across = others * (1 + 2 + plan.n_across_draws)
    k = how.relation_neurons.k
    sizes = {max(1, round(share * k)) for share in (*plan.doses, 0.5)} - {k}
    doses = len(sizes) * (2 + 2 * plan.n_dose_draws) + plan.n_draws - plan.n_dose_draws
    curves = len(plan.pushes) * (1 + plan.n_dose_draws)
    return own + across + doses + curves


def sufficiency(given: Passes, how: Settings) -> Work:
    """The facts whose subject is asked another relation, under 1 + controls + other sets."""
    plan, size = how.interference, given.size
    facts = size.tested(size.with_sets, plan.max_facts) * size.crossed
    arms = 1 + plan.n_draws + plan.n_across_draws + _others(plan.n_others, size.with_sets)
    return given.measured(facts, arms, rivals=INSTALLED) * size.languages


def other_selectors(given: Passes, how: Settings) -> Work:
    """Gradients on the right prompts that select, then each selector's sets, off and installed.

    A gradient is a prompt's pass, a row forward and back, and two sums over the vocabulary with
    their gradients, for each token of the answer.
    """
    plan, size = how.interference, given.size
    others, draws = _others(plan.n_others, size.with_sets), plan.n_across_draws
    n = size.selecting * size.answer_tokens
    gradients = given.tokens(n * given.whole) + given.full_rows(n, back=True) + given.head(2 * n)
    facts = size.tested(size.with_sets, plan.max_facts)
    off = SELECTORS * (1 + draws + 3 * others) + BESIDE * (1 + draws)
    installed = (SELECTORS + BESIDE) * (1 + draws)
    measured = given.measured(facts, off)
    measured += given.measured(facts * size.crossed, installed, rivals=INSTALLED)
    return (gradients + measured) * size.languages


def transfer(given: Passes, how: Settings) -> Work:
    """Every language's facts under the sets of every language that has one for the relation.

    facts of all relations * (sources * (1 + n_across_draws + 2 n_others) + 3 per source that has
    neurons of its own); each group of six sources runs the prompts anew.
    """
    plan, size = how.interference, given.size
    facts = size.tested(size.relations, plan.max_facts)
    sources = size.eligible * size.languages
    others = _others(plan.n_others, size.with_sets)
    own = (sources + 1) * (1 + plan.n_across_draws + 2 * others)
    groups = size.languages // 6 + 1
    work = given.measured(facts * groups, own / groups)
    specific = given.measured(facts, 3 * sources) if size.languages > 1 else Work()
    return (work + specific) * size.languages


def language_specific(given: Passes, how: Settings) -> Work:
    """Texts that find neurons, once; then texts and facts under sets that act at all positions.

    An arm costs the whole text there, and a sum over the vocabulary for each of its tokens.
    """
    plan, size, n = how.language_specific, given.size, given.size.languages
    if n < 2:
        return Work()
    text = given.whole + size.answer_tokens
    here = size.prompts * HALF_OF_PROMPTS * text
    finding = given.tokens(min(plan.max_tokens, here))
    facts_arms, text_arms = n + plan.n_draws, n + plan.n_draws + 2 * (n - 1)
    texts = plan.n_texts * (1 + text_arms)
    labels = 1 + 0.55 * (n - 1)  # answers that languages write differently
    facts = plan.n_facts * (1 + facts_arms)
    tree = labels * (size.answer_tokens - 1) + 1
    on_texts = given.tokens(texts * text) + given.head(texts * (text - 1))
    on_facts = given.tokens(facts * (given.whole + tree)) + given.head(facts * tree)
    return (finding + on_texts + on_facts) * n


def _context(given: Passes, how: Settings) -> Amount:
    """Return the tokens of a prompt's demonstrations."""
    return how.recall.demonstrations.shots * (given.whole + given.size.answer_tokens)


def _shared_context(given: Passes, how: Settings) -> Amount:
    """Return the tokens of demonstrations per prompt, as far as prompts share them."""
    context = _context(given, how)
    alike = max(1.0, given.size.per_relation * HELD_OUT / 4)  # prompts with the same ones
    return context / min(alike, max(1.0, (SEQUENCE - context) / given.own))


def _others(n: int, relations: int) -> int:
    return min(n, relations - 1)
