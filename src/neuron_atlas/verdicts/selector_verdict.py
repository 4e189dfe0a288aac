"""Judge average precision as a way of selecting neurons, beside other ways."""

import pandas as pd

from neuron_atlas.neurons.relation_sets import BESIDE
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.conjunction import against_rivals
from neuron_atlas.verdicts.relation_verdicts import shown, too_few_relations
from neuron_atlas.verdicts.verdict import Verdict, untestable

AVERAGE_PRECISION = "average_precision"


def average_precision_beats_other_selectors(
    table: pd.DataFrame, *, negligible: float, interest: float = of_interest.SELECTORS
) -> Verdict:
    """Judge whether average precision's sets are more necessary than every other selector's.

    Compared by relation: harm beyond each selector's own push-matched controls; see
    `conjunction.against_rivals`.
    """
    nothing = untestable("No other selector's set was measured")
    if table.empty:
        return nothing
    rows = arms.own(arms.held_out(table, right=True))
    rows = rows[~rows["order"].isin(BESIDE)]
    chosen, controls = arms.of_kind(rows, "selector"), arms.of_kind(rows, "selector_matched")
    excesses = {
        str(name): arms.excess(part, controls[controls["order"].eq(name)])
        for name, part in chosen.groupby("order", observed=True)
    }
    sets = arms.of_kind(rows, "set"), arms.of_kind(rows, "push_matched")
    average = excesses.pop(AVERAGE_PRECISION, None) or arms.excess(*sets)
    if not excesses:
        return nothing
    differences = {name: arms.difference(average, other) for name, other in excesses.items()}
    if too_few := too_few_relations(*differences.values()):
        return too_few
    tested = {name: found.tested() for name, found in differences.items()}
    joint = against_rivals(tested, "harm", negligible=negligible, interest=interest)
    means = {AVERAGE_PRECISION: average, **excesses}
    listed = ", ".join(f"{name} {one.arm - one.control:+.2f}" for name, one in means.items())
    because = (
        f"Harm beyond push-matched sets, nats: {listed}. The hardest rival is {joint.name}: "
        f"average precision less it {shown(joint.shown)}."
    )
    return joint.verdict(because, interest)
