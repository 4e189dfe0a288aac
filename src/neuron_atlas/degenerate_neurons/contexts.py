"""Ask facts once more, in the template that tests and after solved facts."""

import pandas as pd

from neuron_atlas.facts import roles
from neuron_atlas.wording import demonstrations


def after_demonstrations(
    recalled: pd.DataFrame, facts: pd.DataFrame, *, shots: int, seed: int
) -> pd.DataFrame:
    """Return the facts' prompts in the testing template, after `shots` solved development facts.

    A context that took no part in anything before: neither template nor demonstrations have found
    a neuron. A prompt whose demonstrations show its answer is left out, and so are relations with
    fewer development facts than `shots`.

    Args:
        recalled: Rows of the recall table, of the facts to ask.
        facts: The language's fact table, with the development facts.
        shots: Demonstrations per prompt; 0 gives no prompt.
        seed: Of the order in which demonstrations are taken.
    """
    if recalled.empty or not shots:
        return recalled.iloc[:0]
    shown = facts[facts["split"] == "development"].groupby(["relation", "template"]).size()
    enough = pd.MultiIndex.from_frame(recalled[["relation", "template"]]).isin(
        shown.index[shown >= shots]
    )
    asked = recalled[enough & roles.testing_templates(recalled)]
    if asked.empty:
        return recalled.iloc[:0]
    found = demonstrations.put_before(asked, facts, shots=shots, turn=(0, 1), seed=seed)
    return found[~found["answer_shown"]].drop(columns="demonstrations")
