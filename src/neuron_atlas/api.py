"""The public names: text in, arrays out, in the order of what came in.

`prompts` is one text or several. Of one text the result has no `prompt` axis; of several it has one
row per prompt, in their order. A prompt ends where the answer begins, without a space; in an
encoder `{object}` may mark the place of the answer amid the text. An answer is written as it
continues the prompt, its space included: "The capital of France is", " Paris". The *answer
position* is a decoder's last prompt token and an encoder's mask.

A neuron is one hidden unit: the input coordinate `index` of layer `layer`'s down-projection, that
is act(gate) * up in a gated MLP and act(W_in x) in a plain one. Log-probabilities are in nats.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, Real
from torch import Tensor

from neuron_atlas.activations import extraction
from neuron_atlas.attributions import gradients, quadrature
from neuron_atlas.attributions.questions import Question
from neuron_atlas.builtin_facts import builtin
from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel, Site
from neuron_atlas.neurons import addresses, controls, relation_sets
from neuron_atlas.neurons.addresses import Neuron
from neuron_atlas.pipeline import params
from neuron_atlas.relation_neurons import average_precision as detectors
from neuron_atlas.scoring import ablation, log_probability, trees
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.sources.limits import Limits
from neuron_atlas.wording import templates

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RULES = {"zero": quadrature.graded, "occlusion": quadrature.gauss_legendre}


def load_model(
    folder: str | Path, *, device: str | None = None, dtype: Precision | None = None
) -> LanguageModel:
    """Load a model and its tokenizer from a folder; nothing is downloaded and no code in it runs.

    Also settles how this process multiplies matrices, as the pipeline does (see `kernels`).

    Args:
        folder: What the stage `model` wrote, or any folder with `config.json`, `tokenizer.json` and
            safetensors of a supported family; `path:` may stand before it, as in params.yaml.
        device: Such as `cpu` or `cuda:1`; by default the GPU if there is one.
        dtype: Of weights and products; by default that in which the weights were stored.

    Returns:
        The model, frozen. `network` is the transformers model, `tokenizer` its tokenizer.

    Raises:
        ValueError: it is no such folder, or the family or the precision is unknown.
    """
    path = Path(str(folder).removeprefix("path:"))
    missing = [n for n in ("config.json", "tokenizer.json") if not (path / n).is_file()]
    missing += [] if any(path.glob("*.safetensors")) else ["*.safetensors"]
    if missing:
        raise ValueError(
            f"expected a model's folder, got {str(path)!r} without {', '.join(missing)}; "
            "`dvc repro model` or `dvc pull model` makes data/model"
        )
    if dtype is not None and dtype not in PRECISIONS:
        raise ValueError(f"dtype must be one of {list(PRECISIONS)}, got {dtype!r}")
    precision = None if dtype is None else PRECISIONS[dtype]
    return language_model.load(path, device=device, dtype=precision)


def built_in_facts(
    language: str = "en",
    relations: Iterable[str] | None = None,
    *,
    max_per_relation: int | None = 32,
    max_candidates: int = 32,
    max_majority_share: float = 0.25,
    paraphrases: int = 3,
    development_share: float = 0.2,
    seed: int = 20,
) -> pd.DataFrame:
    """Return facts from CLDR and GeoNames with prompts in one language; no file is read.

    By default the table that the stage `facts` makes of this language with params.yaml as it comes.

    Args:
        language: Code of a language that has templates, such as `en`.
        relations: Names, such as `capital`; None takes ten of them.
        max_per_relation: Facts, those of the most prominent subjects; None keeps all.
        max_candidates: Largest number of possible answers per relation.
        max_majority_share: Share, in (0, 1], of a relation's facts that may have the same answer.
        paraphrases: Templates per relation.
        development_share: Share of the subjects for demonstrations, in [0, 1).
        seed: Of the split.

    Returns:
        One row per fact and paraphrase: `relation`, `subject_label`, `prompt`, `separator` (what
        stands between prompt and answer), `answer`, `candidate_labels`, `split` and others.

    Raises:
        ValueError: a language or a relation is unknown, or it has fewer paraphrases.
    """
    limits = {
        "max_per_relation": max_per_relation,
        "max_candidates": max_candidates,
        "max_majority_share": max_majority_share,
    }
    texts = templates.load(language)
    found, _ = builtin.build(
        language,
        builtin.DEFAULT if relations is None else _texts(relations, "relations", one=False),
        limits=params.checked("built_in_facts", Limits, limits),
        development_share=development_share,
        seed=seed,
    )
    return fact_table.build(found, texts.first(paraphrases), separator=texts.separator)


def log_probabilities(
    lm: LanguageModel, prompts: str | Iterable[str], answers: Iterable[str]
) -> Float64[np.ndarray, "*prompt answer"]:
    """Return the log-probability of each answer after each prompt.

    The sum over the answer's tokens, each given the prompt and the answer's earlier tokens (in a
    decoder), or each at its own mask (in an encoder; Kassner et al. 2021). It is normalised neither
    by the answer's length nor over the answers that are asked for.

    Args:
        lm: The model.
        prompts: One text or several.
        answers: Texts that continue each of the prompts, such as " Paris".

    Returns:
        Nats, at most 0.

    Raises:
        TypeError: a prompt or an answer is not text, or `answers` is one text.
        ValueError: there is no prompt or answer, or one is empty.
    """
    texts = _texts(prompts, "prompts")
    labels = _texts(answers, "answers", one=False)
    known = CandidateTokens(lm)
    queries = [trees.query(lm, text, known.answers(text, "", labels)) for text in texts]
    found = np.concatenate(log_probability.log_probabilities(lm, queries))
    return found[0] if isinstance(prompts, str) else found


def record_activations(
    lm: LanguageModel,
    prompts: str | Iterable[str],
    *,
    pooling: Literal["answer", "mean"] = "answer",
    site: Site = "hidden",
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Return the values of all neurons of all layers, from one pass per prompt.

    Args:
        lm: The model.
        prompts: One text or several; all values are held in memory.
        pooling: Where: `answer`, at the answer position; `mean`, the mean over all tokens, the
            beginning-of-sequence token included (Liu et al. 2025, arXiv 2502.17355, section 3.1).
        site: Which values: `hidden` is what every other name here calls a neuron; `gate`, `up` and
            `down` are the raw outputs of the projections, which Liu et al. call so.

    Returns:
        Values in the model's own unit; of a model in half precision the same numbers as float32.

    Raises:
        TypeError: a prompt is not text.
        ValueError: there is no prompt or one is empty, the model has no such site, or a value is
            NaN or infinite.
    """
    if pooling not in ("answer", "mean"):
        raise ValueError(f"pooling must be 'answer' or 'mean', got {pooling!r}")
    texts = _texts(prompts, "prompts")
    readings = [extraction.reading(lm, text, (0, len(text)), pooling) for text in texts]
    parts = list(extraction.extract(lm, readings, site=site))
    return _in_order(parts, single=isinstance(prompts, str))


def integrated_gradients(
    lm: LanguageModel,
    prompts: str | Iterable[str],
    answers: str | Iterable[str],
    *,
    baseline: Literal["zero", "occlusion"] = "zero",
    target: Literal["log_probability", "probability"] = "log_probability",
    steps: int = 32,
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Attribute an answer's score to every neuron at the answer position.

    Attr = (w - w') * integral over a in [0, 1] of dF(w' + a (w - w')) / dw: Sundararajan et al.
    2017 (arXiv 1703.01365, equation 1), with the neurons of one layer as the input as in Dai et al.
    2022 (arXiv 2104.08696, equation 2). Other than there, F is by default the log-probability, and
    the integral is not a sum of equal steps: of the baseline `zero` the steps crowd towards it
    (`quadrature.graded`), of `occlusion` the rule is Gauss-Legendre.

    Args:
        lm: The model.
        prompts: One text or several.
        answers: The answer to each prompt: one text for one prompt, as many as there are prompts
            for several. An answer of several tokens is the sum over them, each with the neurons at
            the position that predicts it.
        baseline: w': 0; or the values with one word of the prompt hidden, added up over the words
            (Chen et al. 2024, arXiv 2308.13198, equation 5).
        target: F: nats, or a probability.
        steps: Points at which each path's gradient is taken.

    Returns:
        In the unit of F. The neurons of one layer sum to F less its value with the whole layer at
        the baseline, added up over the words for `occlusion`; more steps come closer.

    Raises:
        TypeError: a prompt or an answer is not text.
        ValueError: one is empty, their numbers differ, `steps` is below 1, the baseline or the
            target is unknown, no word can be hidden, or a score is NaN or infinite.
    """
    if baseline not in RULES or target not in ("log_probability", "probability"):
        raise ValueError(
            f"baseline must be one of {list(RULES)} and target 'log_probability' or 'probability', "
            f"got {baseline!r} and {target!r}"
        )
    texts, wanted = _texts(prompts, "prompts"), _texts(answers, "answers")
    if len(texts) != len(wanted):
        raise ValueError(
            f"expected one answer per prompt, got {len(texts)} prompts and {len(wanted)} answers"
        )
    found = gradients.integrated_gradients(
        lm,
        [_question(lm, text, answer) for text, answer in zip(texts, wanted, strict=True)],
        baseline=baseline,
        rule=RULES[baseline](steps),
        target=target,
        check=False,
    )
    parts = [(part.places, part.scores) for part in found]
    return _in_order(parts, single=isinstance(prompts, str))


def average_precision(
    values: Real[np.ndarray, "prompt *neuron"],
    positive: Bool[np.ndarray, "*group prompt"],
    *,
    ignore: Bool[np.ndarray, "*group prompt"] | None = None,
) -> Float64[np.ndarray, "..."]:
    """Score every neuron as a detector of a group of prompts, or of several groups at once.

    AP = mean over the group's prompts p of the group's share of the prompts whose value is at least
    p's, as in scikit-learn, where equal values are one threshold. Liu et al. 2025 (arXiv
    2502.17355) rank a relation's neurons by it and leave ties open.

    Args:
        values: Neuron values, such as `record_activations` returns.
        positive: Which prompts are the group's: [prompt], or [group, prompt] for several groups.
        ignore: Prompts that count neither way, in the shape of `positive`.

    Returns:
        In (0, 1], in the shape of one prompt's values, a leading `group` axis before it if
        `positive` has one. A constant neuron has the group's share of the prompts.

    Raises:
        TypeError: `positive` or `ignore` is not of type bool.
        ValueError: the shapes do not fit, a value is NaN or infinite, a group has no positive or no
            negative prompt, or a prompt is both positive and ignored.
    """
    table = np.asarray(values).reshape(len(values), -1)
    scores = detectors.average_precision(
        torch.from_numpy(np.ascontiguousarray(table)),
        _groups(positive, len(table), "positive"),
        ignore=None if ignore is None else _groups(ignore, len(table), "ignore"),
    )
    return scores.numpy().reshape(*np.shape(positive)[:-1], *np.shape(values)[1:])


@dataclass(frozen=True, eq=False)
class NeuronSets(Mapping[str, list[Neuron]]):
    """The neurons of each relation, best first, and what their random controls have to match.

    Attributes:
        sets: Neurons by relation.
        size: Mean |value| of every neuron over the prompts that sets were chosen from.
        banned: Units that neither sets nor controls may hold, such as massive ones.
    """

    sets: Mapping[str, list[Neuron]]
    size: Float64[np.ndarray, "layer neuron"] = field(repr=False)
    banned: list[Neuron] = field(repr=False)

    def __getitem__(self, relation: str) -> list[Neuron]:
        """Return one relation's neurons; a KeyError lists the relations there are."""
        if relation not in self.sets:
            raise KeyError(f"no set of the relation {relation!r}; there are {sorted(self.sets)}")
        return self.sets[relation]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the relations, sorted."""
        return iter(self.sets)

    def __len__(self) -> int:
        """Return the number of relations."""
        return len(self.sets)


def read_sets(folder: str | Path) -> NeuronSets:
    """Read the relation neurons of one language, or of all pooled.

    Args:
        folder: `data/relation_neurons/pooled`, or a language's folder beside it.

    Returns:
        A mapping of each relation to its neurons, best first; also `size` and `banned`, which
        `matched_random` takes. The sets belong to the model of the run that made them.

    Raises:
        ValueError: it is no such folder.
    """
    path = Path(folder)
    for name in (relation_sets.SETS, relation_sets.SIZE):
        if not (path / name).is_file():
            raise ValueError(
                f"{path / name} does not exist; name a folder such as data/relation_neurons/pooled,"
                " or run `dvc repro relation_neurons` or `dvc pull relation_neurons` first"
            )
    found = relation_sets.read_sets(path)
    n = found.size.shape[1]
    sets = {name: addresses.to_neurons(flat, n) for name, flat in sorted(found.sets.items())}
    return NeuronSets(sets, found.size, addresses.to_neurons(found.banned, n))


def matched_random(
    neurons: Iterable[Neuron],
    size: Float[np.ndarray, "layer neuron"],
    *,
    rng: np.random.Generator | int,
    n_draws: int = 1,
    n_bins: int = 10,
    exclude: Iterable[Neuron] = (),
) -> list[list[Neuron]]:
    """Draw random sets that match the given neurons one by one in layer and in activation size.

    Neuron j of a draw comes from the layer of the j-th neuron and from its bin of sizes; where that
    bin runs out, from the nearest bins of the layer. The random sets of Liu et al. 2025 (arXiv
    2502.17355) match neither; one bin matches the layer alone.

    Args:
        neurons: The set to match.
        size: Activation size of every neuron: `read_sets(...).size`, or the mean |value| over
            prompts of your own.
        rng: A generator, or the seed of a new one.
        n_draws: Sets to draw.
        n_bins: Quantile bins per layer.
        exclude: Other neurons never to draw, such as `read_sets(...).banned`.

    Returns:
        `n_draws` sets of as many neurons as given; none of `neurons` or `exclude`, and none twice
        in one set.

    Raises:
        TypeError: `neurons` or `exclude` holds something else.
        ValueError: a neuron is not in `size` or is given twice, a layer has too few neurons left,
            or an argument is out of range.
    """
    shape = (int(size.shape[0]), int(size.shape[1]))
    drawn = controls.matched_random(
        _flat(neurons, shape),
        np.asarray(size, dtype=np.float64),
        rng=np.random.default_rng(rng),
        n_draws=n_draws,
        n_bins=n_bins,
        exclude=_flat(exclude, shape),
    )
    return [addresses.to_neurons(row, shape[1]) for row in drawn]


@contextmanager
def switched_off(
    lm: LanguageModel,
    neurons: Iterable[Neuron],
    *,
    value: float | Real[np.ndarray, "layer neuron"] = 0.0,
) -> Iterator[None]:
    """Hold neurons at a value while the block runs; undone when it ends, by an exception too.

    The value takes the place of the neuron's own at **every position** of every pass of `lm`: of
    the prompt, of the answer's tokens, and of what `lm.network.generate` adds. The pipeline's
    verdicts hold them, by default, at the answer position alone (`interference.positions`) and at
    their mean (`interference.value`), which does less harm: figures from here are not theirs.
    Sets may be nested; where two name the same neuron, the outer one's value is overwritten.

    Args:
        lm: The model; it is the same object that changes, so other names here see the change.
        neurons: Which ones; an empty set changes nothing.
        value: What they become: 0, another number, or of a table each neuron's entry, such as
            `record_activations(lm, prompts).mean(0)`. It is rounded to the model's precision.

    Raises:
        TypeError: `neurons` holds something else.
        ValueError: a neuron is not in the model, the table has another shape, or a value is NaN or
            infinite.
    """
    shape = (lm.n_layers, lm.n_neurons)
    edits = ablation.edits_of([_flat(neurons, shape)], _table(value, shape)[None])
    everywhere = torch.zeros(1, 1, dtype=torch.long, device=lm.device)  # arm 0, at each position
    with ablation.row_edits(lm, edits)(everywhere):
        yield


def _texts(value: Iterable[str], name: str, *, one: bool = True) -> list[str]:
    """Return texts as a list, once each is one; `one` says whether a single text will do."""
    if isinstance(value, str):
        if not one:
            raise TypeError(f"{name} must be a list of texts, got the text {value!r}")
        value = [value]
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be texts, got {value!r}")
    found = list(value)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{place}] must be text, got {text!r}")
        if not text.strip():
            raise ValueError(f"{name}[{place}] is empty, got {text!r}")
    if not found:
        raise ValueError(f"expected at least one of {name}, got none")
    return found


def _question(lm: LanguageModel, prompt: str, answer: str) -> Question:
    (tokens,) = CandidateTokens(lm).answers(prompt, "", [answer])
    return Question(prompt, tokens, query=(0, len(prompt)))


def _in_order(
    parts: Iterable[tuple[Int64[np.ndarray, " part"], Float[Tensor, "part layer neuron"]]],
    *,
    single: bool,
) -> Float32[np.ndarray, "*prompt layer neuron"]:
    """Put batches together in the order of the prompts."""
    places, values = zip(*parts, strict=True)
    found = torch.cat(values).float().numpy()[np.argsort(np.concatenate(places))]
    return found[0] if single else found


def _groups(
    mask: Bool[np.ndarray, "*group prompt"], n_prompts: int, name: str
) -> Bool[Tensor, "group prompt"]:
    found = np.atleast_2d(np.asarray(mask))
    if found.dtype != np.bool_:
        raise TypeError(f"{name} must be True or False for each prompt, got {found.dtype}")
    if found.ndim != 2 or found.shape[1] != n_prompts:
        raise ValueError(
            f"{name} must be [prompt] or [group, prompt] for {n_prompts} prompts, got {mask.shape}"
        )
    return torch.from_numpy(np.ascontiguousarray(found))


def _flat(neurons: Iterable[Neuron], shape: tuple[int, int]) -> Int64[np.ndarray, " k"]:
    """Return flat indices, once every neuron is one of [layer, neuron]."""
    listed = list(neurons)
    for one in listed:
        if not isinstance(one, Neuron):
            raise TypeError(
                f"expected neurons, as Neuron(layer, index), got {one!r}; a table's flat index i is"
                f" Neuron(*divmod(i, {shape[1]}))"
            )
        if not (0 <= one.layer < shape[0] and 0 <= one.index < shape[1]):
            raise ValueError(
                f"expected a layer in [0, {shape[0]}) and an index in [0, {shape[1]}), got {one}; "
                "is it a neuron of another model?"
            )
    return addresses.to_flat(listed, shape[1])


def _table(
    value: float | Real[np.ndarray, "layer neuron"], shape: tuple[int, int]
) -> Float32[Tensor, "layer neuron"]:
    found = np.asarray(value, dtype=np.float32)
    if found.ndim and found.shape != shape:
        raise ValueError(f"value must be a number or a table of shape {shape}, got {found.shape}")
    return torch.from_numpy(np.broadcast_to(found, shape).copy())
