"""What a claim's verdict tests, against what, and what the paper says, in plain words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Question:
    """What is asked of a claim.

    Attributes:
        tested: What was measured.
        against: What it was compared with.
        published: What the paper says of it.
    """

    tested: str
    against: str
    published: str

    def as_dict(self) -> dict[str, str]:
        """Return the three texts by name, for a JSON file."""
        return asdict(self)


QUESTIONS: Mapping[str, Question] = {
    "relation_neurons_exist": Question(
        tested=(
            "How much log-probability the right answers to a relation's unseen facts lose, on a "
            "wording that selected nothing and without examples, when the relation's neurons are "
            "set to their mean over all relations"
        ),
        against=(
            "Random neurons of the same layers matched one by one in push, and other relations' "
            "neurons with the larger push scaled down to the smaller: both have to cost less; "
            "beside them random neurons of like activation and random directions of equal norm"
        ),
        published=(
            "Liu et al. 2025 set 3,000 outputs of an MLP to zero: a quarter to nearly all right "
            "answers of a relation become wrong, and almost none without as many random neurons, "
            "which are not matched in layer, size or push"
        ),
    ),
    "relation_neurons_suffice": Question(
        tested=(
            "How much the probability of answers of a relation's type rises when its neurons are "
            "set to their means over its own questions while another relation is asked about a "
            "subject of the same kind"
        ),
        against=(
            "Random neurons that push equally hard, and other relations' neurons at equal push; "
            "beside them random directions of equal norm"
        ),
        published=(
            "Liu et al. 2025 suppose that the neurons detect the relation and guide the answer; "
            "they switch neurons off and install none"
        ),
    ),
    "cumulativity": Question(
        tested=(
            "How much more a relation's right answers lose without all of its neurons than "
            "without the better half of them"
        ),
        against="The same growth from half to all of random neurons that push equally hard",
        published=(
            "Liu et al. 2025 count right answers that become wrong without ranks up to a second "
            "number and do not without the ranks between two numbers alone, and conclude that the "
            "neurons work together; there is no control"
        ),
    ),
    "versatility_relations": Question(
        tested=(
            "Whether the right answers to some relation's unseen facts lose log-probability when "
            "another relation's neurons are switched off: all pairs of relations at once, adjusted "
            "for their number; one pair is enough"
        ),
        against="Random neurons that push equally hard on the same questions",
        published=(
            "Liu et al. 2025 find neurons that two relations share, 2,053 of 3,000 for father and "
            "mother, and accuracy that falls in other relations too"
        ),
    ),
    "versatility_languages": Question(
        tested=(
            "How much log-probability a relation's right answers lose in one language when the "
            "neurons are switched off that were found for it in another"
        ),
        against=(
            "Random neurons that push equally hard, and the neurons that the other language has "
            "for other relations, at equal push: both have to cost less"
        ),
        published=(
            "Liu et al. 2025 set neurons found in English to zero and ask in five more languages: "
            "accuracy falls there too; random neurons are not tried by language"
        ),
    ),
    "interference": Question(
        tested=(
            "Whether some relation's unseen facts, right or wrong at first, gain log-probability "
            "when another relation's neurons are switched off: all pairs of relations at once, "
            "adjusted for their number; one pair is enough"
        ),
        against="Random neurons that push equally hard on the same questions",
        published=(
            "Liu et al. 2025 see some relations improve without the neurons of others, and no "
            "pattern that two sizes of a model have in common; no test, no correction"
        ),
    ),
    "average_precision_beats_other_selectors": Question(
        tested=(
            "How much more a relation's right answers lose without the neurons whose values tell "
            "the relation apart best, by average precision, than without as many neurons found in "
            "any other way"
        ),
        against=(
            "Mean gap, gradient times activation, attribution patching, direct logit attribution "
            "and a linear probe, each beyond random neurons of its own push; the hardest rival "
            "decides"
        ),
        published="Liu et al. 2025 use average precision alone, and compare it with nothing",
    ),
    "amig_beats_baselines": Question(
        tested=(
            "How much more suppressing and enhancing the neurons that integrated gradients from "
            "hidden words select moves a fact's own answer, less what it moves other facts', than "
            "as many neurons selected in any other way"
        ),
        against=(
            "Integrated gradients from zero, gradient times activation, activation, and random "
            "neurons of the same layers and sizes; the hardest rival decides. Setting values to 0 "
            "and doubling them is near what the first two predict, so that exact ablation of "
            "single neurons from several baselines stands beside it, without a verdict"
        ),
        published=(
            "Chen et al. 2024 give ratios of the change of a fact to that of others: 4.0 against "
            "3.9 and 5.6 against 5.2 in English, 10.3 against 5.6 and 7.9 against 5.4 in Chinese, "
            "for their method and integrated gradients from zero, with no interval"
        ),
    ),
    "language_independent_neurons_exist": Question(
        tested=(
            "How many of a fact's best neurons two languages share, where each language's neurons "
            "were found by itself"
        ),
        against=(
            "What two languages share of two facts of the same relation, and of two facts with "
            "one answer: both have to be fewer; beside them mismatched facts of any relations and "
            "matched random neurons"
        ),
        published=(
            "Chen et al. 2024 intersect the neurons of English and Chinese and call what is left "
            "language-independent, for which there is no null"
        ),
    ),
    "language_specific_neurons_exist": Question(
        tested=(
            "How much log-probability per token text of a language loses without the neurons that "
            "are active in it alone or in few languages, on texts that selected none of them"
        ),
        against=(
            "Random neurons that push equally hard on this text, and other languages' neurons at "
            "equal push: both have to cost less. Languages are the random effects"
        ),
        published=(
            "Tang et al. 2024 find such neurons in much larger models, mostly in the first and the "
            "last layers: without its own a language is worse, and the language of an answer can "
            "be changed; sets that push equally hard are not compared"
        ),
    ),
    "cross_lingual_editing": Question(
        tested=(
            "How much further a real edit of a fact's language-independent neurons carries the new "
            "answer into languages that found no neuron and fitted no edit. The neurons are those "
            "that the stage language_neurons would find in the source languages alone: its own "
            "sets are found in the test languages too"
        ),
        against=(
            "Edits of as many neurons of the first source alone, fitted to the same prompts of all "
            "sources; beside them the really monolingual edit, which is fitted to the first source "
            "too, joint and sequential choices, random neurons of the same layers and sizes, "
            "fine-tuning of one down-projection within a bound (FT-L), and ROME"
        ),
        published=(
            "Chen et al. 2024 suppress and enhance language-independent neurons, and edit nothing. "
            "Their success rate, change on the fact over change on other facts, in mGPT: 2.54 for "
            "language-independent, 2.40 for monolingual and 4.29 for sequential choices in "
            "English, 8.87, 2.35 and 3.65 in Chinese, each kind on facts of its own, with no "
            "interval and no random set"
        ),
    ),
    "degenerate_neurons_exist": Question(
        tested=(
            "The share of pairs of a fact's strongest neurons either of which suffices: each alone "
            "lowers the answer's probability by at most a fifth, and both together lower its "
            "log-odds by more than the sum, on a wording, on another one, and on a third after "
            "solved facts; less the share of pairs that do the opposite"
        ),
        against=(
            "As many pairs of neurons that are among the strongest of facts of other relations, of "
            "the same layers and with single drops on this prompt as close as can be; beside them "
            "random pairs of the same layers and sizes, which mostly do nothing"
        ),
        published=(
            "Chen et al. 2024 find that most facts have degenerate neurons: sets of which every "
            "part may be suppressed and not the whole, by thresholds of 20 and 25 % on the "
            "probability, which two independent neurons pass too, and with no control"
        ),
    ),
    "degenerate_neurons_help_fact_checking": Question(
        tested=(
            "How much better a fact's true claim is told from its false ones if the mean "
            "contribution of a relation's degenerate neurons is added to the claim's own "
            "probability, on other subjects and other answers than those that found neurons, "
            "weights and thresholds"
        ),
        against=(
            "The claim's probability alone, and that with random neurons matched to the degenerate "
            "ones: both have to tell less. Beside it knowledge neurons, the candidates' log-odds, "
            "calling every claim true, and a sparse probe on all neurons' contributions, which "
            "says what there is to be had"
        ),
        published=(
            "Chen et al. 2024 tell true from false claims with degenerate neurons better than with "
            "the model's own answers, in F1, with thresholds of their own for each language"
        ),
    ),
}
