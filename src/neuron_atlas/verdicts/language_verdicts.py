"""Judge whether a language's own neurons matter to it and to no other language.

Tables have one row per text and arm, with the columns of `arms`: `measured` and `language` are the
text's language, `fact` the text, `kind` the arm (`set`, the language's own neurons; `push_matched`;
`own_scaled` and `other_set`, at the smaller of two pushes), `effect` nats per token. Languages are
random effects, as relations are elsewhere: what is found holds for languages like these.
"""

import pandas as pd

from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.arms import Excess
from neuron_atlas.verdicts.conjunction import all_of
from neuron_atlas.verdicts.relation_verdicts import shown
from neuron_atlas.verdicts.verdict import Verdict, untestable

MIN_LANGUAGES = 3
UNIT = "nats per token"
RANDOM, OTHERS = "random neurons", "other languages' neurons"


def contrasts(rows: pd.DataFrame) -> dict[str, Excess]:
    """Return what own neurons do beyond random neurons, and beyond other languages' neurons.

    The second is measured at the smaller of two pushes and carried over to the push of the own
    neurons; see `arms.at_push`. Where another language's neurons move nothing there is no such
    push, and the text has no part in it.

    Args:
        rows: Measured arms, with the text's own language's `set`.
    """
    own = arms.numbered(rows)
    sets = arms.of_kind(own, "set")
    return {
        RANDOM: arms.excess(sets, arms.of_kind(own, "push_matched")),
        OTHERS: arms.specificity(own, sets, prefix=""),
    }


def language_specific_neurons_exist(
    rows: pd.DataFrame,
    *,
    negligible: float,
    interest: float = of_interest.LANGUAGE_SPECIFIC,
) -> Verdict:
    """Judge whether text loses more without its language's own neurons than without others.

    Both contrasts have to hold: without random neurons that push as hard, and without other
    languages' neurons at equal push. Neurons that harm text of any language have only the first.

    Args:
        rows: As `contrasts` takes them.
        negligible: Change, nats per token, that is too small to matter.
        interest: Change, nats per token, that one would want to find.
    """
    found = contrasts(rows)
    least = min(one.n_relations for one in found.values())
    if least < MIN_LANGUAGES:
        return untestable(
            f"Needs texts of {MIN_LANGUAGES} languages with neurons of their own, beside neurons "
            f"of other languages that move them, and has them of {least}"
        )
    tested = {name: one.tested() for name, one in found.items()}
    joint = all_of(tested, "harm", negligible=negligible, interest=interest)
    beyond = ", ".join(f"{name} {shown(one, digits=3)}" for name, one in tested.items())
    because = (
        f"Without its own neurons text of a language changes by {found[RANDOM].arm:+.3f} {UNIT}, "
        f"without random ones of equal push by {found[RANDOM].control:+.3f}; at the push of its "
        f"own, without those of other languages by {found[OTHERS].control:+.3f}. Own less {beyond}."
    )
    return joint.verdict(because, interest, UNIT)
