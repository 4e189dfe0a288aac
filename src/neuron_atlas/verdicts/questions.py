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
            "How much better true claims are told from false ones if the mean contribution of a "
            "relation's degenerate neurons is added to the claim's own probability, on other "
            "subjects and other answers than those that found neurons, weights and thresholds"
        ),
        against=(
            "The claim's probability alone; beside it knowledge neurons, random neurons matched to "
            "the degenerate ones, the candidates' log-odds, calling every claim true, and a sparse "
            "probe on all neurons' contributions, which says what there is to be had"
        ),
        published=(
            "Chen et al. 2024 tell true from false claims with degenerate neurons better than with "
            "the model's own answers, in F1, with thresholds of their own for each language"
        ),
    ),
}


def of_claim(name: str) -> dict[str, dict[str, str]]:
    """Return a claim's question for its entry in the summary; nothing where none is written."""
    return {"question": QUESTIONS[name].as_dict()} if name in QUESTIONS else {}
