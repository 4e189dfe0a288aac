"""Judge the claims about relation neurons that are means over relations.

Each takes tables of measured arms (`arms`) and returns a verdict. Relations are random effects.
"""

import numpy as np
import pandas as pd

from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.statistics.random_effects import MeanTest
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.arms import MIN_RELATIONS, Excess
from neuron_atlas.verdicts.conjunction import Joint, all_of
from neuron_atlas.verdicts.families import family
from neuron_atlas.verdicts.verdict import Verdict, judge, untestable

PARTS = {
    "effect_type": "the answer's type",
    "effect_given_type": "its first token given the type",
    "effect_later": "its later tokens",
}
SIDE_CONTROLS = {
    "size_matched": "random neurons matched in activation only",
    "direction": "random directions of equal norm",
}


def relation_neurons_exist(
    table: pd.DataFrame, *, negligible: float, interest: float = of_interest.RELATION_NEURONS
) -> Verdict:
    """Judge whether relations need their own neurons: more than any others that push as hard.

    Two contrasts have to hold: necessity, the sets' effect on their own relations' held-out answers
    less that of push-matched random sets; and specificity, less that of other relations' sets, the
    larger push scaled down to the smaller. A set that harms everything has the first alone.

    Args:
        table: Measured arms.
        negligible: Harm, in nats, that is too small to matter.
        interest: Harm, in nats, that one would want to find.
    """
    rows = arms.held_out(table, right=True)
    sets, own = arms.own(arms.of_kind(rows, "set")), arms.own(rows)
    matched = arms.of_kind(own, "push_matched")
    necessity = arms.excess(sets, matched)
    specific = arms.specificity(rows, sets, prefix="")
    if too_few := too_few_relations(necessity, specific):
        return too_few
    joint = all_of(
        {"necessity": necessity.tested(), "specificity": specific.tested()},
        "harm",
        negligible=negligible,
        interest=interest,
    )
    tested = family(own)
    alone = sum(judge(f, "harm", negligible=negligible) == "supported" for f in tested.tested)
    because = (
        f"Without a relation's neurons its unseen answers change by {necessity.arm:+.2f} nats, "
        f"without random ones that push as hard by {necessity.control:+.2f} (excess "
        f"{shown(necessity.tested())}; {_parts(sets, matched)}), without other relations' by "
        f"{specific.control:+.2f} (excess {shown(specific.tested())}). "
        f"{_side_controls(sets, own)}Push: {_push(sets)}, matched {_push(matched)}. {alone} of "
        f"{len(tested.tested)} relations show it by themselves. {_decided(joint)}"
    )
    return joint.verdict(because, interest)


def cumulativity(
    table: pd.DataFrame, *, negligible: float, interest: float = of_interest.CUMULATIVITY
) -> Verdict:
    """Judge whether the weaker half of a set still adds harm: it is not all in a few neurons.

    Tested: the growth of the harm from the best half of a set to all of it, beyond the growth from
    half to all of push-matched sets.
    """
    rows = arms.own(arms.held_out(table, right=True))
    dose = arms.of_kind(rows, "dose")
    sets = arms.of_kind(rows, "set")
    ranked, random = (dose[dose["order"].eq(order)] for order in ("rank", "push_matched"))
    sizes = np.intersect1d(ranked["k"].unique(), random["k"].unique())
    if not len(sizes) or sets.empty:
        return untestable("No set was measured in parts")
    full = int(sets["k"].max())
    half = int(min(sizes, key=lambda k: abs(k - full / 2)))
    ranked = ranked[ranked["k"].eq(half)]
    growth = arms.excess(sets, ranked)
    expected = arms.excess(arms.of_kind(rows, "push_matched"), random[random["k"].eq(half)])
    found = arms.difference(growth, expected)
    if too_few := too_few_relations(found):
        return too_few
    joint = all_of({"growth": found.tested()}, "harm", negligible=negligible, interest=interest)
    weak = dose[dose["order"].eq("reverse") & dose["k"].eq(full - half)]
    because = (
        f"The best {half} of {full} neurons change answers by {growth.control:+.2f} nats, all by "
        f"{growth.arm:+.2f}; push-matched ones by {expected.control:+.2f} and "
        f"{expected.arm:+.2f}. {_published_cumulativity(sets, ranked, weak)}"
    )
    return joint.verdict(because, interest)


def versatility_languages(
    transfer: pd.DataFrame, *, negligible: float, interest: float = of_interest.LANGUAGES
) -> Verdict:
    """Judge whether neurons found in one language serve their relation in others.

    Two contrasts have to hold: the foreign sets' harm beyond push-matched random sets, and beyond
    the same language's sets of other relations.
    """
    rows = arms.held_out(transfer, right=True)
    rows = rows[rows["source"].ne(POOLED)]
    foreign = rows[rows["source"].ne(rows["language"])]
    sets = arms.own(arms.of_kind(foreign, "transfer"))
    if sets.empty:
        return untestable("No relation has neurons in one language and known facts in another")
    controls = arms.own(arms.of_kind(foreign, "transfer_matched"))
    matched = arms.excess(sets, controls, by=["source"])
    other = arms.specificity(foreign, sets, prefix="transfer_", by=["source"])
    if too_few := too_few_relations(matched, other):
        return too_few
    joint = all_of(
        {"push-matched": matched.tested(), "other relations": other.tested()},
        "harm",
        negligible=negligible,
        interest=interest,
    )
    because = (
        f"Neurons found in another language change answers by {matched.arm:+.2f} nats, random ones "
        f"that push as hard by {matched.control:+.2f} (excess {shown(matched.tested())}), that "
        f"language's neurons of other relations by {other.control:+.2f} (excess "
        f"{shown(other.tested())}). {_beside_specific(foreign)}{_decided(joint)}"
    )
    return joint.verdict(because, interest)


def beyond_language_specific(rows: pd.DataFrame) -> Excess:
    """Return sets' effects beyond neurons of the language that they were found in, of equal push.

    Those neurons serve the language whatever is asked; sets that do no more may do the same.

    Args:
        rows: Measured transfer, from `arms.held_out`.
    """
    sets = arms.of_kind(rows, "specific_set")
    return arms.specificity(rows, sets, prefix="specific_", by=["source"])


def _beside_specific(rows: pd.DataFrame) -> str:
    found = beyond_language_specific(rows)
    if found.n_relations < MIN_RELATIONS:
        return ""
    return (
        f"That language's language-specific neurons change answers by {found.control:+.2f} at this "
        f"push (excess {shown(found.tested())}). "
    )


def relation_neurons_suffice(
    sufficiency: pd.DataFrame, *, negligible: float, interest: float = of_interest.SUFFICIENCY
) -> Verdict:
    """Judge whether installing a relation's values turns another question towards its type.

    `relation` names the relation whose type and answer are scored, in every kind of row, and is the
    random effect; `measured` the relation that is asked. Two contrasts have to hold for log
    P(type): installed values less push-matched ones, and less other relations' values. The
    relation's answer for the subject is shown beside it.
    """
    asked = sufficiency.assign(asked=sufficiency["measured"], measured=sufficiency["relation"])
    rows = arms.held_out(asked, right=False)
    install = arms.of_kind(rows, "install")
    controls = {kind: arms.of_kind(rows, f"install_{kind}") for kind in ("matched", "other")}
    found = {
        k: arms.excess(install, rows, by=["asked"], value="effect_type")
        for k, rows in controls.items()
    }
    if too_few := too_few_relations(*found.values()):
        return too_few
    joint = all_of(
        {"push-matched": found["matched"].tested(), "other relations": found["other"].tested()},
        "gain",
        negligible=negligible,
        interest=interest,
    )
    answer = arms.excess(install, controls["matched"], by=["asked"]).tested()
    because = (
        f"With a relation's values installed, log P of its type changes by "
        f"{found['matched'].arm:+.2f} nats, with push-matched values by "
        f"{found['matched'].control:+.2f} (excess {shown(found['matched'].tested())}), with other "
        f"relations' by {found['other'].control:+.2f} (excess "
        f"{shown(found['other'].tested())}); its answer for the subject by {shown(answer)} "
        f"beyond push-matched values. {_decided(joint)}"
    )
    return joint.verdict(because, interest)


def too_few_relations(*contrasts: Excess) -> Verdict | None:
    """Return the verdict on contrasts over fewer relations than a test needs, or None."""
    fewest = min(found.n_relations for found in contrasts)
    if fewest >= MIN_RELATIONS:
        return None
    return untestable(f"Needs {MIN_RELATIONS} relations with facts in every arm, and has {fewest}")


def _parts(sets: pd.DataFrame, controls: pd.DataFrame) -> str:
    found = {p: arms.excess(sets, controls, value=p).tested() for p in PARTS if p in sets}
    return ", ".join(f"{PARTS[part]} {shown(one)}" for part, one in found.items())


def _side_controls(sets: pd.DataFrame, own: pd.DataFrame) -> str:
    """Say how the controls that carry no verdict came out."""
    found = {kind: arms.excess(sets, arms.of_kind(own, kind)) for kind in SIDE_CONTROLS}
    parts = [
        f"{SIDE_CONTROLS[kind]} {shown(one.tested())}"
        for kind, one in found.items()
        if one.n_relations >= MIN_RELATIONS
    ]
    return f"Excess over {', over '.join(parts)}. " if parts else ""


def _push(rows: pd.DataFrame) -> str:
    return f"{rows['push'].mean():.2f}" if "push" in rows else "not measured"


def _decided(joint: Joint) -> str:
    if joint.word == "supported":
        return f"Both hold; the effect shown is beyond the first, {joint.name}; p is the larger."
    return f"What decides, and is shown as the effect, is {joint.name}."


def shown(found: MeanTest, *, digits: int = 2) -> str:
    """Return a mean with its interval."""
    mean, low, high = (
        f"{x:+.{digits}f}" for x in (found.effect.mean, found.effect.low, found.effect.high)
    )
    return f"{mean} [{low}, {high}]"


def _published_cumulativity(sets: pd.DataFrame, best: pd.DataFrame, weak: pd.DataFrame) -> str:
    """Give the cumulativity of Liu et al. 2025 (arXiv 2502.17355, section 5.1).

    1 - (prompts broken by the weaker half alone) / (prompts right without the best half and wrong
    without all), both of those that are right at first.
    """
    keys = ["item", "template"]
    after = [
        rows.set_index(keys)["correct_after"].astype(bool).rename(name)
        for name, rows in (("all", sets), ("best", best), ("weak", weak))
    ]
    both = pd.concat(after, axis=1, join="inner")
    late = both[both["best"] & ~both["all"]]
    if late.empty:
        return "No answer needs the weaker half to break."
    share = float((~late["weak"]).mean())
    return (
        f"Of {len(late)} answers that break only without the weaker half too, that half alone "
        f"breaks {100 * share:.0f} %: cumulativity {1 - share:.2f} as Liu et al. define it."
    )
