"""All that the library computes with a model, of a tiny one: to compare two ways of holding it."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from attribution_cases import QUESTION, case, others, plan
from neuron_atlas.activations import extraction
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.attribution_methods import relevance, set_ablations, single_ablations, whole_pass
from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.quadrature import RULES
from neuron_atlas.attributions.questions import Question, points
from neuron_atlas.language_specific import activity, passes
from neuron_atlas.language_specific.texts import Text
from neuron_atlas.live import asking
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import continuation, encode
from neuron_atlas.model_edits import descent, value_edits
from neuron_atlas.model_edits.descent import FitTask
from neuron_atlas.model_edits.fine_tuning import fine_tune
from neuron_atlas.model_edits.fit_prompts import FitPrompts
from neuron_atlas.model_edits.key_covariance import KeyCovariance
from neuron_atlas.model_edits.rome import edit_by_rome
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.other_selectors import scores
from neuron_atlas.scoring import ablation, generation
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import Query, query
from neuron_atlas.value_vectors.at_head import ValueVectors

PROMPTS = ("a b c d", "b c", "e f g h i b c j", "b c k")
ANSWERS = ((5,), (6, 7), (8, 9, 10), (11,))
HOW = Descent(steps=2, rate=0.5, margin=2.0, max_norm=2.0)
Found = dict[str, Tensor]


def queries(lm: LanguageModel) -> list[Query]:
    return [query(lm, prompt, ANSWERS) for prompt in PROMPTS]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def extracted(lm: LanguageModel) -> Found:
    found = {}
    for pooling in ("answer", "mean"):
        asked = [extraction.reading(lm, p, (0, 1), pooling) for p in PROMPTS]
        parts = list(extraction.extract(lm, asked))
        places = np.concatenate([places for places, _ in parts])
        found[pooling] = torch.cat([values for _, values in parts])[np.argsort(places)]
    return found


def asked(lm: LanguageModel) -> Found:
    """Answers as they are, and with neurons of all layers overwritten, scaled and moved a part."""
    n, rng = lm.n_layers * lm.n_neurons, np.random.default_rng(0)
    sets = [rng.choice(n, size=20, replace=False) for _ in range(4)]
    value = random(2, lm.n_layers, lm.n_neurons, seed=1)
    edits = ablation.edits_of(
        sets, value, [0, 1, 0, 1], scale=[0.0, 0.5], gain=[1.0, 1.0, 0.5, 2.0]
    )
    work = ablation.Intervention(lm, edits)
    answers = work.ask_beside_clean(queries(lm), [range(4)] * len(PROMPTS))
    right = [np.arange(len(ANSWERS)) == 2] * len(PROMPTS)
    best = score_contenders(lm, queries(lm), right, exact=1)
    return {
        "edited": torch.from_numpy(np.stack([a.values for a in answers])),
        "contenders": torch.from_numpy(np.stack([b.values for b in best])),
        "next": asking.next_log_probabilities(lm, PROMPTS[0], off=work.opened),
    }


def attributed(lm: LanguageModel) -> Found:
    asked = [Question(p, continuation(lm, p, " x y"), query=(0, len(p))) for p in PROMPTS]
    rule, found = RULES["radau"](3), {}
    keep = random(len(asked), lm.n_layers, lm.n_neurons).abs()
    for name, some in (("plain", None), ("kept", keep)):
        parts = gradients.integrated_gradients(
            lm, asked, baseline="occlusion", rule=rule, target="log_probability", keep=some
        )
        for part in parts:
            place = "-".join(map(str, part.places))
            found[f"scores {name} {place}"] = part.scores
            found[f"difference {name} {place}"] = part.difference
    for part in gradients.gradient_activation(lm, asked * 2, target="probability"):
        found[f"gradient {part.places[0]}"] = part.scores
    return found


def compared(lm: LanguageModel) -> Found:
    """What the comparison of methods and the other selectors compute."""
    one = case(lm, plan(), QUESTION)
    some = np.array([0, 5, lm.n_neurons + 1, 2 * lm.n_neurons + 3])
    changed = random(3, lm.n_layers, lm.n_neurons) > 0
    slopes = whole_pass.gradients_between_inputs(
        lm, one.clean.batch.points, one.hidden, "log_probability", steps=2
    )
    found = {f"drop {name}": x for name, x in single_ablations.drops(one, some).items()}
    found |= {"sets": set_ablations.targets(one, changed), "between": slopes}
    if relevance.undefined(lm) is None:
        found["relevance"] = relevance.coefficients(one.clean, "log_probability")
    asked = [Question(p, (5,), ((5,), (6,)), query=(0, len(p))) for p in PROMPTS[:2]]
    writing = Writing(lm, "hidden")
    return found | scores.of_relation(lm, asked, others(lm), writing)


def pushed(lm: LanguageModel) -> Found:
    values = random(2, lm.n_layers, lm.n_neurons, seed=5)
    clean = CleanValues(Writing(lm, "hidden"), values)
    edits = ablation.edits_of([np.array([1, 30, 60])], others(lm)[None])
    moves = clean.moves(edits)
    return {
        "push": torch.from_numpy(clean.pushes(moves, np.ones((1, 2)))),
        "lengths": clean.writing.lengths,
        "smallest": clean.writing.hidden_units(random(2, lm.n_layers, lm.head.weight.shape[1])),
    }


def read_by_head(lm: LanguageModel) -> Found:
    asked = [Question(p, continuation(lm, p, " x"), query=(0, len(p))) for p in PROMPTS[:2]]
    vectors = ValueVectors(lm, "hidden", asked)
    index = torch.tensor([0, 3, 7])
    return {str(i): vectors.of_neurons(i, index) for i in range(lm.n_layers)}


def fit_prompts(lm: LanguageModel) -> FitPrompts:
    found = []
    for prompt, new, old in (("a b c", 7, 8), ("d e f g h i", 9, 10), ("j", 11, 12)):
        (point,) = points(lm, Question(prompt, (new,)))
        found.append(point._replace(choices=(new, old)))
    return FitPrompts(found, torch.tensor([0, 0, 1]), torch.zeros(3).long(), torch.ones(3).long())


def fitted(lm: LanguageModel) -> Found:
    asked, size = fit_prompts(lm), (2, 2, 3)
    flat = np.random.default_rng(0).choice(lm.n_layers * lm.n_neurons, size=12, replace=False)
    train, use = torch.ones(size, dtype=torch.bool), torch.ones(3, 2, dtype=torch.bool)
    task = FitTask(asked.points, asked.fact, torch.from_numpy(flat.reshape(size)), train, use)
    last = lm.n_layers - 1
    keys = KeyCovariance(random(8, lm.n_neurons).to(lm.device), 0.1)
    return {
        "descent": descent.search(lm, task, HOW),
        "ft": fine_tune(lm, asked, last, HOW, max_change=0.1),
        "rome": edit_by_rome(lm, asked, last, keys, HOW, max_norm=4.0),
        "vectors": value_edits.vectors(lm, flat),
    }


def of_texts(lm: LanguageModel) -> Found:
    texts = []
    for prompt in PROMPTS:
        before, after = encode(lm, prompt)
        texts.append(Text(prompt, (*before, *after), 1, len(after), (1, len(before))))
    found = activity.measure(lm, texts)
    values, _ = passes.token_values(lm, texts)
    return {
        "active": torch.from_numpy(found.active),
        "size": torch.from_numpy(found.size),
        "values": values,
    }


def edited(lm: LanguageModel) -> Found:
    """Answers with value vectors changed in the weights, and that they are restored."""
    neurons = np.array([2, lm.n_neurons + 1, 2 * lm.n_neurons])
    edit = value_edits.ValueEdit(neurons, random(3, lm.head.weight.shape[1]))
    with value_edits.applied(lm, edit):
        within = log_probabilities(lm, queries(lm))
    after = log_probabilities(lm, queries(lm))
    return {
        "within": torch.from_numpy(np.stack(within)),
        "after": torch.from_numpy(np.stack(after)),
    }


def written(lm: LanguageModel) -> Found:
    if lm.architecture.encoder:
        return {}
    texts = generation.greedy(lm, [encode(lm, p) for p in PROMPTS], length=3)
    return {"texts": torch.tensor([[*t, *[-1] * (3 - len(t))] for own in texts for t in own])}


PARTS: Mapping[str, Callable[[LanguageModel], Found]] = {
    "extraction": extracted,
    "scoring": asked,
    "attribution": attributed,
    "comparison of methods": compared,
    "pushes": pushed,
    "value vectors": read_by_head,
    "fitted edits": fitted,
    "texts": of_texts,
    "generation": written,
    "edits": edited,
}


def gap(lm: LanguageModel, other: LanguageModel, part: str) -> float:
    """Return the largest difference of what two models give; infinite if one is not finite."""
    first, second = PARTS[part](lm), PARTS[part](other)
    assert first.keys() == second.keys()
    gaps = [_gap(first[name].cpu(), second[name].cpu()) for name in first]
    return max(gaps, default=0.0)


def _gap(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    assert a.numel()
    assert torch.isfinite(a).all()
    away = float((a.double() - b.double()).abs().max())
    return away if away == away else float("inf")
