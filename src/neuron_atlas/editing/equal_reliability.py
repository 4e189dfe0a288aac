"""Scale edits so that they are equally reliable, before it is measured how far they reach."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from neuron_atlas.attributions.questions import Point
from neuron_atlas.editing.fitted_edits import ArmEdit
from neuron_atlas.editing.measured_edits import Questions
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.tokenised import fit_prompts
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.fit_prompts import first_token_gaps
from neuron_atlas.model_edits.replay import Replay
from neuron_atlas.model_edits.sequences import Sequences, run_body
from neuron_atlas.model_edits.value_edits import ValueEdit, applied


def to_margin(
    questions: Questions, case: Case, edits: Sequence[ArmEdit], *, margin: float
) -> list[ArmEdit]:
    """Scale each edit down so that the new answer wins by the margin that it was fitted to.

    An edit is fitted where it acts at the answer position alone. Real ones act everywhere, and then
    overshoot, by how much depends on the neurons: an arm that overshoots more would seem to reach
    further. So each is multiplied by a share in [0, 1] at which the mean of log p(new) - log p(old)
    over the first source's fitted prompts, at the answer's first token, is about `margin`: by
    straight lines between no edit, one share that is tried, and the whole. An edit that falls short
    stays as it is: its bound is not passed.

    Args:
        questions: The model and the prompts.
        case: The fact.
        edits: Its edits.
        margin: Nats; `editing.descent.margin`.
    """
    lm, replay = questions.lm, Replay(questions.lm)
    found: list[ArmEdit] = []
    prompts = fit_prompts(lm, questions.tables, questions.tokens, [case])
    first = [p for p, n in zip(prompts.points, prompts.source.tolist(), strict=True) if n == 0]
    batch = Sequences.of([point.ids for point in first], lm.device)
    with torch.no_grad(), replay.record():
        before = _mean_gap(lm, first, batch)
    for one in edits:

        def gap(share: float, edit: ValueEdit = one.edit) -> float:
            lowest = int(edit.neurons.min()) // lm.n_neurons
            with torch.no_grad(), applied(lm, _scaled(edit, share)), replay.below(lowest):
                return _mean_gap(lm, first, batch)

        share = share_at(margin, gap, before=before)
        found.append(replace(one, edit=_scaled(one.edit, share), share=share))
    return found


def share_at(margin: float, gap: Callable[[float], float], *, before: float) -> float:
    """Return the share in [0, 1] of an edit at which a rising gap is about the margin.

    Args:
        margin: The gap that is wanted.
        gap: The gap under a share of the edit; called for two shares at most.
        before: The gap without it.
    """
    if before >= margin:
        return 0.0
    low, high = (0.0, before), (1.0, gap(1.0))
    if high[1] <= margin:
        return 1.0
    share = _between(low, high, margin)
    tried = (share, gap(share))
    return _between(tried, high, margin) if tried[1] < margin else _between(low, tried, margin)


def _between(low: tuple[float, float], high: tuple[float, float], margin: float) -> float:
    """Return where the line through two points has the value `margin`."""
    return low[0] + (high[0] - low[0]) * (margin - low[1]) / (high[1] - low[1])


def _scaled(edit: ValueEdit, share: float) -> ValueEdit:
    return ValueEdit(edit.neurons, edit.delta * share)


def _mean_gap(lm: LanguageModel, asked: Sequence[Point], batch: Sequences) -> float:
    return float(first_token_gaps(lm, asked, run_body(lm, batch)).mean())
