"""The figures as a page: two protocols side by side, then what each control changes."""

from collections.abc import Iterator, Mapping
from typing import Any

# Correct -> wrong flips of Llama-2 7B with 3,000 neurons off, of 50 or 100 prompts (the paper).
PAPER_FLIPS = {
    "company_ceo": 23,
    "company_hq": 26,
    "landmark_in_country": 13,
    "landmark_on_continent": 17,
    "person_father": 19,
    "person_mother": 10,
    "person_occupation": 15,
    "person_plays_instrument": 31,
    "person_plays_position_in_sport": 43,
    "person_plays_pro_sport": 20,
    "product_by_company": 17,
    "star_constellation": 35,
}
CONDITIONS = {
    "published": "as published: zero, all positions",
    "mean": "mean in place of zero",
    "answer_only": "answer position only",
    "second_template": "asked in words that selected nothing",
    "seen_answers": "half of the answers, seen in selection",
    "unseen_answers": "the same questions, answers not seen in selection",
    "ours": "ours: hidden units, answer position, mean",
}
CONTROLS = {
    "nothing": "no edit",
    "other": "other relations' sets",
    "unmatched": "random, unmatched (theirs)",
    "layer": "random, layer-matched",
    "push": "random, layer, site and push matched",
    "other_push": "other relations' sets, equal push",
}
_MEASURES = {"drop": "facts that they break", "effect": "log P(answer)"}
HEAD = """# Liu et al. 2025 as published, and what each control changes

Made by `make published LRE=...` (`benchmarks/published/liu2025.py`) from a model and LRE's facts;
not by hand. Method: "On Relation-Specific Neurons in Large Language Models" (EMNLP 2025, arXiv
2502.17355). A small model is not their Llama-2 7B, and figures of the two columns below are not to
be compared digit by digit: what can be compared is one row of the second table with the next, on
the same prompts of the same model.
"""


def page(found: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    parts = [HEAD, *_protocols(found), *_relations(found), *_controls(found), *_reading(found)]
    return "\n".join(parts) + "\n"


def _protocols(found: Mapping[str, Any]) -> Iterator[str]:
    sizes = found["sizes"]
    many, few = sizes["draws"]
    yield f"""## The two protocols

| | theirs, in the paper | theirs, here | ours, here |
|---|---|---|---|
| model | Llama-2 7B, 13B, Gemma 7B | {found["model"]} | the same |
| neurons | outputs of gate, up and down: 835,584 | {found["raw_neurons"]:,} | hidden units |
| response | mean over the prompt's tokens | the same | value at the answer position |
| score | average precision, 1:4 negatives | the same | the same |
| chosen | 3,000 (0.36 %) | {sizes["k"]:,} (0.36 %) | {sizes["hidden"]} |
| intervention | zero, all positions | the same | mean, answer position |
| facts asked per relation | all, 298 to 994 | at most {sizes["asked"]} | the same |
| known, to select | all but the held-out | at most {sizes["identification"]} | the same |
| held-out | 50 triples, subject-disjoint | at most {sizes["held_out"]}, known | the same |
| random sets | 10, unmatched | {many}; other controls {few} | {few} per control |
| outcome | 2 greedy tokens, prefix match | the same (see below) | also log-probabilities |

* **Known** means that the two greedy tokens agree with an answer. All held-out facts are known, so
  that accuracy before is 1 and the share that becomes wrong is the relative drop; nothing wrong can
  become right here, so that *interference* is not tested.
* **The prefix rule by the letter** calls "Boston." wrong: two tokens of a large vocabulary reach
  beyond a short answer. An output may therefore also go on after the whole answer, at the end of a
  word. An empty output is never right. The column "by the letter" has what the paper's rule counts.
* Prompts are a template of LRE and "? Answer:"; where the template asks already, it stays as it is.
* For a gate whose activation is 0 at 0 (SiLU, GELU), **zeroing the output of gate, or of up, or the
  hidden unit is the same edit**: which of them is chosen says what average precision picks, not
  what the model uses.
"""


def _relations(found: Mapping[str, Any]) -> Iterator[str]:
    yield """## By relation

Share of held-out facts that become wrong, %. *Format*: of the wrong, those whose reply begins no
answer of the relation at all. *AP*: the lowest in the set. *Both*: hidden units chosen as gate and
as up. *Paper*: flips on 7B, of 50 or 100 prompts.

| relation | known / asked | by the letter | held-out | answers | wrong | of these format | \
on other relations | random, mean | random, largest | ours: wrong | AP | \
gate / up / down (both) | paper |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""
    for name, one in found["relations"].items():
        sites = " / ".join(str(n) for n in one["sites"].values())
        cells = [
            f"`{name}`",
            f"{one['known']} / {one['asked']}",
            one["literal"],
            one["held_out"],
            one["answers"],
            f"{_percent(one['drop_within'])} ({one['flips']})",
            one["malformed"],
            _percent(one["drop_elsewhere"]),
            _percent(one["drop_random"]),
            _percent(one["drop_random_largest"]),
            _percent(one["ours_drop"]),
            f"{one['precision_lowest']:.2f}",
            f"{sites} ({one['both_gate_and_up']})",
            PAPER_FLIPS[name],
        ]
        yield _row(cells)
    left = [f"`{r}` ({x['known']} of {x['asked']})" for r, x in found["left_out"].items()]
    few = found["sizes"]["known"]
    shared = found["shared"]
    yield f"""
Left out, fewer than {few} known facts: {", ".join(left) or "none"}.
Two relations' sets share {shared["mean"]:.1f} of {found["sizes"]["k"]} neurons on average, most
{shared["largest"]} ({shared["largest_pair"]}); by chance
{found["sizes"]["k"] ** 2 / found["raw_neurons"]:.1f}.
"""


def _controls(found: Mapping[str, Any]) -> Iterator[str]:
    yield """## What each control changes

One thing at a time. *Wrong* and *format*: % of facts for the set and for the control. *More wrong*:
the difference in percentage points. The last three: difference of the changes of log-probability of
the answer's first token, of all first tokens of the relation's answers together (the *type*), and
of the one given the other; nats. Brackets: 95 % intervals over relations (Student's t, n - 1): one
set serves all facts of a relation. *Push*: by how much the control displaces what the MLPs write at
the answer position, in units of what the set does.

| condition | control | n | wrong: set, control | format: set, control | more wrong | answer | \
type | answer given type | push |
|---|---|---|---|---|---|---|---|---|---|"""
    for one in found["comparisons"]:
        pair = [
            f"{_percent(one['set'][m])}, {_percent(one['other'][m])}" for m in ("drop", "malformed")
        ]
        nats = [
            _interval(one["difference"][m], 1)
            for m in ("effect", "effect_type", "effect_given_type")
        ]
        cells = [CONDITIONS[one["condition"]], CONTROLS[one["control"]], one["relations"], *pair]
        more = _interval(one["difference"]["drop"], 100)
        yield _row([*cells, more, *nats, f"{one['push_ratio']:.2f}"])
    yield ""


def _reading(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it says\n"
    for measure, more, fewer in (
        ("drop", "break more facts than", "break fewer facts than"),
        ("effect", "raise log P(answer), against", "lower log P(answer) more than"),
    ):
        for says in (more, fewer, None):
            told = [
                _name(one)
                for one in found["comparisons"]
                if _side(one, measure, more, fewer) == says
            ]
            words = says or f"cannot be told apart, in {_MEASURES[measure]}, from"
            yield f"* The sets **{words}**: {'; '.join(told) or 'none'}."
    yield f"""
"Cannot be told apart" means that {len(found["relations"])} relations cannot tell the difference
from 0, not that there is none: read the interval. The intervals are not corrected for their number.
What this page cannot say: anything on models that know more; on cumulativity, languages and
interference; on relations that this model does not know. The facts that test are those the model
knew, asked with one template of LRE each, and the template is the same for all facts of a relation:
neurons of the *template* and neurons of the *relation* are told apart by the row with other words
alone. It took {found["cpu_seconds"]} seconds of one core."""


def _name(one: Mapping[str, Any]) -> str:
    return f"{CONTROLS[one['control']]} ({CONDITIONS[one['condition']]})"


def _side(one: Mapping[str, Any], measure: str, above: str, below: str) -> str | None:
    """Return on which side of 0 an interval lies; None if it holds 0."""
    difference = one["difference"][measure]
    if difference["low"] > 0:
        return above
    return below if difference["high"] < 0 else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _interval(value: Mapping[str, float], factor: float) -> str:
    digits = 0 if factor == 100 else 2
    mean, low, high = (factor * value[key] for key in ("mean", "low", "high"))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
