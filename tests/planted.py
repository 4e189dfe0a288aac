"""A decoder with planted relation neurons; every weight is set by hand and can be checked here.

**The question.** A prompt is three words, `<relation word> <subject> :` or the first two swapped,
in one of three toy languages, and the answer is one word. `alpha:s3` is asked in `xa` by
`xa_alpha_0 xa_s3 :` and answered by `xa_alpha_a3`.

**Norms do nothing.** Every RMSNorm has eps = 2^40 and weight 2^20. Mean squares below 2^16 vanish
beside 2^40 in float32, so a norm returns x * 2^-20 * 2^20 = x, bit by bit. The residual stream is a
vector of named coordinates (`COORDINATES`), each a plain sum.

**Embedding.** Every token has `one` = 1. A relation word also has `relation:r`, `template:r.p` and
its `language:l`; a subject has `subject:s` and its `language:l`; all 1.

**Attention.** Queries and keys are constants times `one`, so only the rotary distance matters: a
head looks exactly one or two tokens back (softmax gives every other token exactly 0). Two heads of
layer 0 copy relation, template, subject and language. At the answer position, the token `:`, the
stream then holds which relation, template and subject were asked, whatever stood before
(demonstrations). Layers 1 and 2 do not attend.

**MLP.** `down(relu(gate x) * (up x))` with up x = `one` = 1: a unit's value is relu(reads . x), and
it adds value * writes to the stream. With r's relation on:

| unit | layer | value on prompts of | adds |
|---|---|---|---|
| planted first | 0 | own relation: 1 | 1 to `strength:r` |
| planted second | 1 | own relation: 1 | 1 to `strength:r` |
| planted third of beta, epsilon | 1 | own relation: 1 | 1 to `strength:r` |
| **shared** by gamma and delta, the third of both | 1 | both: 1 | 1 to the strength of both |
| **inhibitor**, the third of alpha | 1 | alpha: 2, beta: 1 | 1/2 to alpha's, -1/2 to beta's |
| **trap** of one paraphrase | 0 | relation r in paraphrase p: 1 | only `junk` |
| **loud trap** of paraphrases 0 and 1 | 1 | relation r in either: 1 | only `junk` |
| subject, language, constant, decoy (5 subjects) | 0, 1 | all relations alike | only `junk` |
| **fact** (r, s) | 2 | relu(strength:r + 4 relation:r + 4 subject:s - 8) | 1 to its `answer` |

Nothing reads `junk`. The answer to (r, s) is number (r + s) mod 4 of r's four. A fact unit is 0
unless its relation and subject are both asked, and is then the strength: 3 for alpha (1 + 1 + 2/2),
2.5 for beta (3 - 1/2), 3 for the others. Without beta's three units its strength is relu(-1/2) = 0;
without alpha's, beta's is 3.

**Head.** Logit of an answer word = 2 * `answer` + `language`; of all others 0. `language` is 2 at
the answer position. So the right answer has logit 2 * strength + 2, its two translations 2 *
strength, the language's other answers 2, and `log_probability(strength)` below is exact. With
strength 0 all of a language's answers are equal.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from neuron_atlas.facts import fact_table as facts_fact_table
from neuron_atlas.facts.answer_sides import deal
from neuron_atlas.facts.fact_table import Fact, build
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.addresses import Neuron, to_flat
from neuron_atlas.pipeline.slots import SUBJECT
from saved import save as save_model

LANGUAGES = ("xa", "xb", "xc")
RELATIONS = ("alpha", "beta", "gamma", "delta", "epsilon")
N_PARAPHRASES, N_SUBJECTS, N_ANSWERS = 4, 24, 4  # the last paraphrase tests
N_LAYERS, N_NEURONS, N_DECOYS = 3, 128, 60
M = 3  # planted units per relation
STRENGTH = {"alpha": 3.0, "beta": 2.5, "gamma": 3.0, "delta": 3.0, "epsilon": 3.0}
GAIN = 2.0
# What float32 leaves open of a log-probability: ten units in the last place of its logits, of which
# the largest is 14. Only the sum over the vocabulary rounds; all others are of halves, and exact.
NATS = 10 * 2.0**-20

SUBJECTS = tuple(f"s{i}" for i in range(N_SUBJECTS))
TEMPLATES = tuple(f"{r}.{p}" for r, p in product(RELATIONS, range(N_PARAPHRASES)))
ANSWERS = tuple(f"{r}.{a}" for r, a in product(RELATIONS, range(N_ANSWERS)))
COPIED = tuple(
    f"{kind}:{name}"
    for kind, names in (
        ("relation", RELATIONS),
        ("template", TEMPLATES),
        ("subject", SUBJECTS),
        ("language", LANGUAGES),
    )
    for name in names
)
COORDINATES = (
    *COPIED,
    *(f"strength:{r}" for r in RELATIONS),
    *(f"answer:{a}" for a in ANSWERS),
    "one",
    "junk",
)
PLACE = {name: i for i, name in enumerate(COORDINATES)}
WIDTH = len(COORDINATES) + len(COORDINATES) % 2  # rotary pairs need an even number
NORM_EPS = 2.0**40


@dataclass(frozen=True)
class Unit:
    """One hidden unit: value = relu(reads . stream); it adds value * writes to the stream."""

    name: str
    layer: int
    reads: Mapping[str, float]
    writes: Mapping[str, float]


def _planted() -> Iterator[Unit]:
    for r in RELATIONS:
        for layer, order in enumerate(("first", "second")):
            yield Unit(f"{order}:{r}", layer, {f"relation:{r}": 1}, {f"strength:{r}": 1})
    for r in ("beta", "epsilon"):
        yield Unit(f"third:{r}", 1, {f"relation:{r}": 1}, {f"strength:{r}": 1})
    yield Unit(
        "shared",
        1,
        {"relation:gamma": 1, "relation:delta": 1},
        {"strength:gamma": 1, "strength:delta": 1},
    )
    yield Unit(
        "inhibitor",
        1,
        {"relation:alpha": 2, "relation:beta": 1},
        {"strength:alpha": 0.5, "strength:beta": -0.5},
    )


def _traps() -> Iterator[Unit]:
    for t in TEMPLATES:
        yield Unit(f"trap:{t}", 0, {f"template:{t}": 1}, {"junk": 1})
    for r in RELATIONS:
        reads = {f"template:{r}.0": 1.0, f"template:{r}.1": 1.0}
        yield Unit(f"loud trap:{r}", 1, reads, {"junk": 1})


def _distractors() -> Iterator[Unit]:
    rng = np.random.default_rng(0)
    for layer in (0, 1):
        yield Unit(f"constant:{layer}", layer, {"one": 1}, {"junk": 1})
        for name in COPIED:
            if name.startswith(("subject:", "language:")):
                yield Unit(f"{name}:{layer}", layer, {name: 1}, {"junk": 1})
        for i in range(N_DECOYS):
            group = rng.choice(SUBJECTS, size=5, replace=False)
            reads = {f"subject:{s}": 1.0 for s in group}
            yield Unit(f"decoy:{layer}.{i}", layer, reads, {"junk": 1})


def _facts() -> Iterator[Unit]:
    for r, s in product(RELATIONS, SUBJECTS):
        reads = {f"strength:{r}": 1.0, f"relation:{r}": 4.0, f"subject:{s}": 4.0, "one": -8.0}
        yield Unit(f"fact:{r}:{s}", 2, reads, {f"answer:{answer(r, s)}": 1})


def answer(relation: str, subject: str) -> str:
    """Return the id of the right answer."""
    place = SUBJECTS.index(subject) + RELATIONS.index(relation)
    return f"{relation}.{place % N_ANSWERS}"


UNITS = (*_planted(), *_traps(), *_distractors(), *_facts())
_BY_LAYER = [[u for u in UNITS if u.layer == layer] for layer in range(N_LAYERS)]
NEURONS = {u.name: Neuron(u.layer, i) for row in _BY_LAYER for i, u in enumerate(row)}
SHARED, INHIBITOR = NEURONS["shared"], NEURONS["inhibitor"]
PLANTED: dict[str, frozenset[Neuron]] = {
    r: frozenset(NEURONS[n] for n in (f"first:{r}", f"second:{r}", third))
    for r, third in zip(
        RELATIONS, ("inhibitor", "third:beta", "shared", "shared", "third:epsilon"), strict=True
    )
}
TRAPS: dict[str, frozenset[Neuron]] = {
    r: frozenset(n for name, n in NEURONS.items() if "trap" in name and f":{r}" in name)
    for r in RELATIONS
}


def planted(relation: str) -> np.ndarray:
    """Return a relation's planted units as sorted flat indices."""
    return np.sort(to_flat(PLANTED[relation], N_NEURONS))


def log_probability(strength: float) -> float:
    """Return the right answer's log-probability, nats, when its fact unit has this value."""
    right = GAIN * strength + 2
    translations = len(LANGUAGES) - 1
    rest = len(vocabulary()) - len(ANSWERS) - translations
    total = np.exp(right) + (len(ANSWERS) - 1) * np.exp(2) + translations * np.exp(right - 2) + rest
    return float(right - np.log(total))


def vocabulary() -> dict[str, int]:
    """Number the words: specials, the colon, then each language's relations, subjects, answers."""
    words = ["<pad>", "<bos>", "[UNK]", ":"]
    for lang in LANGUAGES:
        names = [*(f"{r}_{p}" for r, p in product(RELATIONS, range(N_PARAPHRASES))), *SUBJECTS]
        words += [f"{lang}_{n}" for n in names]
        words += [f"{lang}_{a.replace('.', '_a')}" for a in ANSWERS]
    return {word: i for i, word in enumerate(words)}


def word_level(words: Mapping[str, int]) -> Tokenizer:
    """Return a tokenizer with one token per word, and `<bos>` in front."""
    result = Tokenizer(models.WordLevel(dict(words), unk_token="[UNK]"))
    result.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    result.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 1)]
    )
    return result


def blank(
    *, n_words: int, width: int, n_neurons: int, n_layers: int, n_heads: int
) -> LlamaForCausalLM:
    """Return a llama with ReLU units, norms that can be made to do nothing, and weights of 0."""
    config = LlamaConfig(
        vocab_size=n_words,
        hidden_size=width,
        head_dim=width,
        intermediate_size=n_neurons,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads,
        hidden_act="relu",
        rms_norm_eps=NORM_EPS,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    with torch.random.fork_rng():
        network = LlamaForCausalLM(config)
    network = network.eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.zero_()
    return network


def model(more: Mapping[str, Mapping[str, float]] | None = None) -> LanguageModel:
    """Return the planted model, in float32.

    Args:
        more: By unit, what it writes besides.
    """
    size = {"width": WIDTH, "n_neurons": N_NEURONS, "n_layers": N_LAYERS, "n_heads": 2}
    network = blank(n_words=len(vocabulary()), **size)
    _fill(network)
    for name, writes in (more or {}).items():
        layer, index = NEURONS[name].layer, NEURONS[name].index
        down = network.model.layers[layer].mlp.down_proj.weight
        for place, weight in writes.items():
            down[PLACE[place], index] += weight
    return LanguageModel(network, word_level(vocabulary()), architecture("llama"))


def _fill(network: LlamaForCausalLM) -> None:
    network.model.embed_tokens.weight.copy_(_embedding())
    network.lm_head.weight.copy_(_head())
    network.model.norm.weight.fill_(NORM_EPS**0.5)
    _look_back(network.model.layers[0].self_attn, distances=(1, 2))
    for block, units in zip(network.model.layers, _BY_LAYER, strict=True):
        block.input_layernorm.weight.fill_(NORM_EPS**0.5)
        block.post_attention_layernorm.weight.fill_(NORM_EPS**0.5)
        block.mlp.up_proj.weight[:, PLACE["one"]] = 1
        for i, unit in enumerate(units):
            for name, weight in unit.reads.items():
                block.mlp.gate_proj.weight[i, PLACE[name]] = weight
            for name, weight in unit.writes.items():
                block.mlp.down_proj.weight[PLACE[name], i] = weight


def _look_back(attention: nn.Module, distances: Sequence[int]) -> None:
    """Let head h attend exactly `distances[h]` tokens back and copy `COPIED`.

    A rotary pair of frequency f turns the score of a key d tokens back into A^2 cos(f d + phase);
    phase -f * distance puts its maximum where we want it. Two pairs, f = 1 and f = 0.01, keep
    every other distance below 300 at least 400 nats lower, which is exactly 0 in float32.
    """
    half, size = WIDTH // 2, 100.0 * WIDTH**0.25
    one = PLACE["one"]
    for head, distance in enumerate(distances):
        start = head * WIDTH
        for pair in (0, half // 2):
            angle = torch.tensor(-distance * 10_000.0 ** (-pair / half))
            attention.q_proj.weight[start + pair, one] = size * angle.cos()
            attention.q_proj.weight[start + pair + half, one] = size * angle.sin()
            attention.k_proj.weight[start + pair, one] = size
        for name in COPIED:
            attention.v_proj.weight[start + PLACE[name], PLACE[name]] = 1
            attention.o_proj.weight[PLACE[name], start + PLACE[name]] = 1


def _embedding() -> Tensor:
    words = vocabulary()
    table = torch.zeros(len(words), WIDTH)
    table[:, PLACE["one"]] = 1
    for lang in LANGUAGES:
        for r, p in product(RELATIONS, range(N_PARAPHRASES)):
            for name in (f"relation:{r}", f"template:{r}.{p}", f"language:{lang}"):
                table[words[f"{lang}_{r}_{p}"], PLACE[name]] = 1
        for s in SUBJECTS:
            for name in (f"subject:{s}", f"language:{lang}"):
                table[words[f"{lang}_{s}"], PLACE[name]] = 1
    return table


def _head() -> Tensor:
    words = vocabulary()
    table = torch.zeros(len(words), WIDTH)
    for lang, a in product(LANGUAGES, ANSWERS):
        row = words[f"{lang}_{a.replace('.', '_a')}"]
        table[row, PLACE[f"answer:{a}"]] = GAIN
        table[row, PLACE[f"language:{lang}"]] = 1
    return table


def fact_table(language: str) -> pd.DataFrame:
    """Return every fact in every paraphrase, in the schema of `neuron_atlas.facts`."""
    facts = {r: {s: [answer(r, s)] for s in SUBJECTS} for r in RELATIONS}
    dealt = deal(facts, domain="toy", development_share=0.1, seed=0)
    rows = [
        Fact(
            relation=r,
            subject=s,
            subject_label=f"{language}_{s}",
            objects=(answer(r, s),),
            object_labels=(f"{language}_{answer(r, s).replace('.', '_a')}",),
            candidates=tuple(a for a in ANSWERS if a.startswith(f"{r}.")),
            candidate_labels=tuple(f"{language}_{r}_a{i}" for i in range(N_ANSWERS)),
            split=dealt.splits[s],
            answer_split=dealt.answer_split(r, [answer(r, s)]),
        )
        for r, s in product(RELATIONS, SUBJECTS)
    ]
    return build(rows, {r: _wordings(language, r) for r in RELATIONS}, separator=" ")


def _wordings(language: str, relation: str) -> list[str]:
    """Relation word first in even paraphrases, subject first in odd ones."""
    words = [f"{language}_{relation}_{p}" for p in range(N_PARAPHRASES)]
    return [
        f"{SUBJECT} {word} :" if p % 2 else f"{word} {SUBJECT} :" for p, word in enumerate(words)
    ]


def save(folder: Path) -> Path:
    """Write the model, as `model.source: path:<folder>` reads it."""
    return save_model(model(), folder)


def write_facts(folder: Path, languages: Sequence[str] = LANGUAGES) -> Path:
    """Write `<language>.parquet` for each language, as the `facts` stage does."""
    for language in languages:
        facts_fact_table.write_facts(folder / f"{language}.parquet", fact_table(language))
    return folder
