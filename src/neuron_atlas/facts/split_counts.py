"""Count the facts that find neurons, test them, or do neither."""

from collections.abc import Sequence
from typing import Any

from neuron_atlas.facts.fact_table import Fact
from neuron_atlas.facts.splits import SPLITS


def count_splits(facts: Sequence[Fact]) -> dict[str, Any]:
    """Count the facts of one relation by their subjects' split and by their answers' sides.

    Returns:
        `n_split` by split; `n_select` and `n_test`, facts whose subject and answers are for
        identification, or all held out; `n_seen`, facts of held-out subjects whose answers are
        not all held out; `n_shared_answers`, answers of both selecting and testing facts, 0.
    """
    select, test = ([f for f in facts if f.split == f.answer_split == half] for half in SPLITS[1:])
    answers = [{thing for f in half for thing in f.objects} for half in (select, test)]
    return {
        "n_split": {split: sum(f.split == split for f in facts) for split in SPLITS},
        "n_select": len(select),
        "n_test": len(test),
        "n_seen": sum(f.split == "held_out" for f in facts) - len(test),
        "n_shared_answers": len(answers[0] & answers[1]),
    }
