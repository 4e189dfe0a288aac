"""A decoder with neurons that stand in for one another, planted by hand; smaller than `planted`.

**The question.** `w0 <subject>` (or `w1`, `w2`) is answered by one of four words. Norms do nothing
(see `planted`) and attention is off, so everything is decided at the last token, the subject.

**MLP.** A unit's value is relu(reads . stream); it adds value * writes to the stream.

| unit of layer 0 | fires (1) for the subjects | adds |
|---|---|---|
| a, b | `both`; and each for one of its own, `only_a`, `only_b` | 1 to `cup` |
| c, d | only `spare` | 1 to `cup` |
| e, f | `sum` | 0.17 to `answer:2` |
| t, u, v | `three` | 1 to `cup` |
| decoys | all | 1 to `junk` |

Layer 1 pours the cup out, but no more than 1: unit `fill` = relu(cup) adds 3 to `answer:0`, unit
`spill` = relu(cup - 1) takes 3 away. So either of a and b suffices for `both`, and each alone is
needed for a subject of its own: **degenerate**. Either of c and d suffices for `spare`, and they
fire for no other subject: **redundant**. Any of t, u and v suffices for `three`. e and f are
**additive**: `sum` starts from 1 in `answer:2`, which its embedding gives.

**Head.** The logit of answer word i is `answer:i`, that of `filler` is always 10. So the answers'
probabilities are below 1 %, and an answer's log-probability falls as its logit does: e and f drop
by 0.17 nats each, a relative drop of 15.6 %, and by 0.34 together, 28.8 %.
"""

import pandas as pd
import torch
from transformers import LlamaForCausalLM

from neuron_atlas.facts import fact_table
from neuron_atlas.facts.answer_sides import SIDES, Side
from neuron_atlas.model.families import architecture
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline.slots import SUBJECT
from neuron_atlas.recall import answers
from planted import NORM_EPS, blank, word_level

RELATION, N_NEURONS, N_PARAPHRASES = "rel", 40, 3
SOLVED = "dev"  # the subject of the development fact, whose answer no other fact has
ANSWER = {"both": 0, "only_a": 0, "only_b": 0, "spare": 0, "sum": 2, "three": 0, "idle": 3}
FIRES = {
    "a": ("both", "only_a"),
    "b": ("both", "only_b"),
    "c": ("spare",),
    "d": ("spare",),
    "e": ("sum",),
    "f": ("sum",),
    "t": ("three",),
    "u": ("three",),
    "v": ("three",),
}
UNIT = {name: i for i, name in enumerate(FIRES)}  # the flat index, all in layer 0
COORDINATES = (*(f"is:{s}" for s in ANSWER), *(f"answer:{i}" for i in range(4)), "cup", "one")
PLACE = {name: i for i, name in enumerate((*COORDINATES, "junk"))}
WIDTH = len(PLACE) + len(PLACE) % 2
STEP, FULL = 0.17, 3.0
WORDS = [
    "<pad>",
    "<bos>",
    "[UNK]",
    "filler",
    "w0",
    "w1",
    "w2",
    *ANSWER,
    SOLVED,
    *(f"x{i}" for i in range(4)),
]


def model() -> LanguageModel:
    """Return the planted model, in float32."""
    size = {"width": WIDTH, "n_neurons": N_NEURONS, "n_layers": 2, "n_heads": 1}
    network = blank(n_words=len(WORDS), **size)
    _fill(network)
    words = word_level({w: i for i, w in enumerate(WORDS)})
    return LanguageModel(network, words, architecture("llama"))


def _fill(network: LlamaForCausalLM) -> None:
    embedding, head = network.model.embed_tokens.weight, network.lm_head.weight
    embedding[:, PLACE["one"]] = 1
    for subject, i in ANSWER.items():
        embedding[WORDS.index(subject), PLACE[f"is:{subject}"]] = 1
        embedding[WORDS.index(subject), PLACE[f"answer:{i}"]] = float(i > 0)
    head[WORDS.index("filler"), PLACE["one"]] = 10
    for i in range(4):
        head[WORDS.index(f"x{i}"), PLACE[f"answer:{i}"]] = 1
    network.model.norm.weight.fill_(NORM_EPS**0.5)
    for block in network.model.layers:
        block.input_layernorm.weight.fill_(NORM_EPS**0.5)
        block.post_attention_layernorm.weight.fill_(NORM_EPS**0.5)
        block.mlp.up_proj.weight[:, PLACE["one"]] = 1
    _makers(network.model.layers[0].mlp)
    _pourers(network.model.layers[1].mlp)


def _makers(mlp: torch.nn.Module) -> None:
    for name, subjects in FIRES.items():
        for subject in subjects:
            mlp.gate_proj.weight[UNIT[name], PLACE[f"is:{subject}"]] = 1
        added = ("answer:2", STEP) if name in "ef" else ("cup", 1.0)
        mlp.down_proj.weight[PLACE[added[0]], UNIT[name]] = added[1]
    mlp.gate_proj.weight[len(UNIT) :, PLACE["one"]] = 1
    mlp.down_proj.weight[PLACE["junk"], len(UNIT) :] = 1


def _pourers(mlp: torch.nn.Module) -> None:
    mlp.gate_proj.weight[:2, PLACE["cup"]] = 1
    mlp.gate_proj.weight[1, PLACE["one"]] = -1
    mlp.down_proj.weight[PLACE["answer:0"], 0] = FULL
    mlp.down_proj.weight[PLACE["answer:0"], 1] = -FULL


def facts() -> pd.DataFrame:
    """Return the fact table: the answer 0 finds, other answers test, one fact is shown."""
    rows = [
        fact_table.Fact(
            relation=RELATION,
            subject=subject,
            subject_label=subject,
            objects=(str(i),),
            object_labels=(f"x{i}",),
            candidates=tuple("0123"),
            candidate_labels=tuple(f"x{j}" for j in range(4)),
            split="development" if subject == SOLVED else half,
            answer_split=half,
        )
        for subject, i, half in [*_halves(), (SOLVED, 1, SIDES[0])]
    ]
    wordings = {RELATION: [f"w{p} {SUBJECT}" for p in range(N_PARAPHRASES)]}
    return fact_table.build(rows, wordings, separator=" ")


def _halves() -> list[tuple[str, int, Side]]:
    return [(subject, i, SIDES[int(i > 0)]) for subject, i in ANSWER.items()]


def recalled(lm: LanguageModel) -> pd.DataFrame:
    """Return the recall table of all facts in all paraphrases."""
    table = facts()
    asked = table[table["split"] != "development"].reset_index(drop=True)
    return answers.with_known(answers.score(lm, asked))


def graded(size: int = 5) -> pd.DataFrame:
    """Return what `knowledge_sets.grade_neurons` would: a fact's own units first, then decoys."""
    rows = []
    for subject in ANSWER:
        own = [UNIT[name] for name, subjects in FIRES.items() if subject in subjects]
        neurons = [*own, *range(len(UNIT), N_NEURONS)][:size]
        rows += [(f"{RELATION}:{subject}", RELATION, n, 1.0, i) for i, n in enumerate(neurons)]
    return pd.DataFrame(rows, columns=["fact", "relation", "neuron", "score", "rank"])


def source() -> RelationSets:
    """Return activation sizes for controls, which are decoys; layer 1 is barred."""
    size = torch.ones(2, N_NEURONS).double().numpy()
    barred = torch.cat([torch.arange(len(UNIT)), torch.arange(N_NEURONS, 2 * N_NEURONS)])
    return RelationSets({}, size, barred.numpy())
