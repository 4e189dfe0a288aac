"""The claims of the literature in plain words, as the page says them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A claim of the papers: its name, what it means, its effect's unit, and its evidence's place.

    `evidence` is the id of a section of the page; empty for a claim that has none.
    """

    name: str
    meaning: str
    unit: str = "nats"
    evidence: str = ""


CLAIMS = {
    "relation_neurons_exist": Claim(
        "Relation neurons exist",
        "Switching off a relation’s neurons costs its answers more than random neurons, and more "
        "than other relations’ neurons, that push the model equally hard.",
        evidence="off",
    ),
    "relation_neurons_suffice": Claim(
        "Relation neurons suffice",
        "Installed while another relation is asked, a relation’s neurons turn the model towards "
        "answers of its type more than other neurons that push equally hard.",
        evidence="installed",
    ),
    "cumulativity": Claim(
        "Cumulativity",
        "The neurons work together: further ones in the ranking still add effect.",
        evidence="doses",
    ),
    "versatility_relations": Claim(
        "Versatility across relations",
        "Neurons of one relation also carry other relations.",
        evidence="matrix",
    ),
    "versatility_languages": Claim(
        "Versatility across languages",
        "Neurons found in one language also carry the relation in another.",
        evidence="transfer",
    ),
    "interference": Claim(
        "Interference",
        "Switching off one relation’s neurons improves another relation.",
        evidence="matrix",
    ),
    "average_precision_beats_other_selectors": Claim(
        "Average precision finds what matters",
        "Switching off the neurons of highest average precision costs a relation’s answers more, "
        "beyond random neurons of equal push, than as many neurons found in any other way.",
        evidence="selectors",
    ),
    "amig_beats_baselines": Claim(
        "Attribution finds the neurons that matter",
        "Suppressing and enhancing the neurons that architecture-adapted integrated gradients "
        "select moves the fact, and only the fact, more than any other way of selecting as many.",
        evidence="knowledge",
    ),
    "language_independent_neurons_exist": Claim(
        "Language-independent neurons exist",
        "Two languages share more neurons of a fact than of two facts of its relation, and than of "
        "two facts with one answer.",
        unit="neurons a fact",
        evidence="independent",
    ),
    "language_specific_neurons_exist": Claim(
        "Language-specific neurons exist",
        "Text of a language loses more without the neurons that are active in that language alone "
        "than without random neurons, and than without other languages’ neurons, that push the "
        "model equally hard.",
        unit="nats per token",
        evidence="specific",
    ),
    "cross_lingual_editing": Claim(
        "Cross-lingual editing",
        "Editing language-independent neurons carries over to languages that had no part in "
        "finding them, more than editing as many of one language’s neurons on the same prompts.",
        evidence="editing",
    ),
    "degenerate_neurons_exist": Claim(
        "Degenerate neurons exist",
        "More pairs of a fact’s neurons stand in for each other than of neurons that do as much "
        "here and are strong for other facts.",
        unit="share of pairs",
        evidence="degenerate",
    ),
    "degenerate_neurons_help_fact_checking": Claim(
        "Degenerate neurons help to check facts",
        "Added to the claim’s probability, they tell true claims from false ones better.",
        unit="area under the curve",
        evidence="checking",
    ),
}

VERDICT_SENTENCES = {
    "supported": "The measurements agree with this claim.",
    "contradicted": "The measurements say the opposite of this claim.",
    "not supported": "What the claim says is shown to be too small to matter: a null result.",
    "undecided": "The measurements are too uncertain to decide either way.",
    "untestable": "These data could not have shown it: nothing follows for or against the claim.",
}
