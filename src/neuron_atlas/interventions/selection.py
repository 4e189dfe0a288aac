"""Test whether neurons selected by attribution matter more to their fact than others' choices."""

import pandas as pd

from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.interventions.settings import Selection
from neuron_atlas.interventions.suppress_enhance import (
    both_operations,
    measure_operations,
    no_rows,
)
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.prompt_choice import KEY


def asked(prompts: pd.DataFrame, *, n_unrelated: int, seed: int) -> pd.DataFrame:
    """List the prompts on which each fact's sets are measured: its own and unrelated facts'.

    Args:
        prompts: One prompt per fact, with `language`.
        n_unrelated: Prompts of other facts, each of another relation.
        seed: The seed.

    Returns:
        `fact`, `where` (`related` or `unrelated`) and the prompt's `KEY`.
    """
    place = prompts.set_index("fact")[["language", "template"]]
    rows = []
    for fact in prompts.to_dict("records"):
        rng = stream(seed, "selection", "unrelated", fact["language"], fact["fact"])
        far = prompt_choice.unrelated(
            prompts, {str(k): v for k, v in fact.items()}, n=n_unrelated, rng=rng
        )
        for where, name in [("related", fact["fact"]), *(("unrelated", f) for f in far)]:
            rows.append((fact["fact"], where, place.at[name, "language"], name))
    table = pd.DataFrame(rows, columns=["fact", "where", "language", "measured"])
    return table.assign(template=place["template"].reindex(table["measured"]).to_numpy())


def run(
    lm: LanguageModel,
    sets: list[NeuronSet],
    prompts: pd.DataFrame,
    how: Selection,
    *,
    seed: int,
    tolerance: float,
    key: str,
) -> pd.DataFrame:
    """Suppress and enhance every set, on its fact's prompt and on unrelated ones.

    Args:
        lm: The model.
        sets: From `neuron_sets.compared`, chosen on other paraphrases than those measured.
        prompts: One prompt per fact, with `language`.
        how: How many unrelated prompts there are.
        seed: The seed.
        tolerance: As in `log_probability.ask`.
        key: Names the finished parts on disk; see `checkpoints.key`.

    Returns:
        The rows of `suppress_enhance.measure_operations`; none where no fact is known.
    """
    if prompts.empty:
        return no_rows()
    plan = asked(prompts, n_unrelated=how.n_unrelated, seed=seed)
    intervention = both_operations(lm, sets, tolerance=tolerance)
    tokens = CandidateTokens(lm)
    order = ["relation", "template", "fact"]  # prompts that begin alike are neighbours
    items = prompts.sort_values(order).rename(columns={"fact": "measured"})
    table = checkpoints.in_parts(
        items,
        lambda part: measure_operations(intervention, sets, part, plan, tokens),
        key=key,
        size=4,
    )
    return table.sort_values(["fact", "method", "draw", "operation", "where", *KEY]).reset_index(
        drop=True
    )
