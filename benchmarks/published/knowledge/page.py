"""The figures as Markdown: each published figure, ours beside it, and what controls leave of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from published.knowledge.contrasts import left
from published.knowledge.tables import Steps, interval, number, percent, row, table
from published.knowledge.words import (
    CHECKS,
    CONTROLS,
    DETECTORS,
    EDITS,
    METHODS,
    PAIRS,
    PAPER_EDITS,
    PAPER_SUCCESS,
    SHARES,
)

HEAD = """# Dai et al. 2022 and Chen et al. 2024 as published: {model}

Made by `make published-knowledge` (`benchmarks/published/knowledge/`) from a model and the recall
tables of a run; not by hand. Papers: "Knowledge Neurons in Pretrained Transformers" (ACL 2022,
arXiv 2104.08696) and "Journey to the Center of the Knowledge Neurons" (AMIG, AAAI 2024, arXiv
2308.13198). Their models are BERT, multilingual BERT and mGPT and their facts come from LAMA, so
that a column "paper" cannot be compared digit by digit with its neighbour. What can be compared is
one row with the next: the same facts, prompts and model, with another control.

{facts} facts of {relations} relations, known in {one} and {two}. Brackets: 95 % intervals over
relations (Student's t, n - 1), not corrected for their number. *Left*: the share of the effect
without a control. "Cannot be told from 0" is not to say that there is none: read the interval.
"""


def page(found: Mapping[str, Any]) -> str:
    """Return the section as Markdown, from the figures of `run`."""
    found = _in_order(found)
    one, two = found["languages"]
    model = found["model"] + (", an encoder" if found["encoder"] else "")
    head = HEAD.format(
        model=model, facts=found["facts"], relations=found["relations"], one=one, two=two
    )
    parts = [
        head,
        *_protocols(found),
        *_success(found),
        *_changes(found),
        *_sharing(found),
        *_degenerate(found),
        *_checking(found),
        *_reading(found),
    ]
    return "\n".join(parts) + "\n"


def _in_order(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures with languages and methods in the page's order; files sort their keys."""
    by = {
        part: {code: found[part][code] for code in found["languages"]}
        for part in ("sets", "editing", "degenerate", "checking")
    }
    by["sets"] = {
        code: {name: methods[name] for name in METHODS if name in methods}
        for code, methods in by["sets"].items()
    }
    return {**found, **by}


def _protocols(found: Mapping[str, Any]) -> Iterator[str]:
    plan, ours = found["plan"], found["ours"]
    one, two = found["languages"]
    first, second = plan["taus"]
    yield f"""## The protocols

| | Dai et al., here | Chen et al., here | ours, here |
|---|---|---|---|
| explained | probability of the answer | the same | log-probability among the candidates |
| path begins at | 0 | mean over tokens, each hidden | each word hidden, one path per word |
| factor | w | w, where completeness needs w - w' | w - w' |
| steps | {plan["zero_steps"]}, equal | {plan["steps"]}, equal | {ours["steps"]}, {ours["rule"]} |
| prompts that find | all paraphrases but one | one, on which they are tested | all but one |
| threshold | {plan["dai_tau"]} of the largest, in {plan["dai_share"]} of the prompts | \
{first} ({one}), {second} ({two}) of the largest | as many neurons as Chen et al.'s |
| operations | value to 0, value x 2 | the same | the same |
| compared with | another relation's fact | any other fact | the controls below |

* A neuron is what enters the down-projection, as in Dai et al.; Chen et al.'s code takes what
  enters the activation function in mGPT, where doubling makes a negative neuron weaker.
* The gold answer is forced, in its true case; their code goes on with the model's own words.
* Gradients are summed at k / m for k = 1 to m, as in Dai et al.'s paper; both codes begin at 0.
* Chen et al.'s equation 5 adds one path per word; their code, as here, averages the paths of all
  tokens, special ones and the answer position among them, into one.
"""


def _success(found: Mapping[str, Any]) -> Iterator[str]:
    yield """## Success rates (Chen et al., Table 1)

The mean relative change of the answer's probability over that on any other fact's prompt, absolute,
for suppressing and enhancing together: a ratio without limit, large also where the denominator is
small. *Paper*: multilingual BERT, mGPT.

| language | neurons | facts | per fact | suppressed: own, other | enhanced: own, other | ratio | \
paper |
|---|---|---|---|---|---|---|---|"""
    for language, methods in found["sets"].items():
        for name, one in methods.items():
            yield row([language, METHODS[name], *_success_cells(one), _paper(language, name)])
    yield """
### What is left with a control

Half of what enhancing adds to log P(answer) beyond suppressing, nats; less the same of the control,
on the same prompt. *Equal push*: so far towards 0 or away from it that the residual stream is moved
as far as by the set.
"""
    for language, methods in found["sets"].items():
        shown = {METHODS[name]: one["steps"] for name, one in methods.items()}
        yield from table(f"control ({language})", CONTROLS, shown, factor=1, digits=3)
    yield "Push of random sets alike in layer and size, as a share of that of the sets:\n"
    for language, methods in found["sets"].items():
        shares = [
            f"{METHODS[name]} {number(one['push_of_random'], 2)}" for name, one in methods.items()
        ]
        yield f"* {language}: {', '.join(shares)}."
    yield ""


def _success_cells(one: Mapping[str, Any]) -> list[str]:
    success = one["success"]
    pairs = [
        f"{percent(success[o]['related'])}, {percent(success[o]['other'])}"
        for o in ("suppress", "enhance")
    ]
    return [str(one["facts"]), f"{one['neurons']:.1f}", *pairs, number(success["ratio"], 2)]


def _paper(language: str, method: str) -> str:
    return PAPER_SUCCESS.get((language, method), "")


def _changes(found: Mapping[str, Any]) -> Iterator[str]:
    yield """## Change of the probability (Dai et al., section 5.1)

Mean change of P(answer) over its mean, over all paraphrases that found the neurons. *Other*: on a
fact of another relation. What controls leave of it is in the tables above, column "Dai et al.".

| language | suppressed: own, other | enhanced: own, other |
|---|---|---|"""
    for language, methods in found["sets"].items():
        for one in methods.values():
            if "change_ratio" in one:
                ratio = one["change_ratio"]
                cells = [
                    f"{percent(ratio[o]['own'])}, {percent(ratio[o]['other'])}"
                    for o in ("suppress", "enhance")
                ]
                yield row([language, *cells])
    yield ""


def _sharing(found: Mapping[str, Any]) -> Iterator[str]:
    both = " and ".join(found["languages"])
    yield f"""## Language-independent neurons (Chen et al., equation 8)

Neurons that a fact's sets in {both} share. *Left*: of those, beyond what the control shares.
"""
    for method, one in found["sharing"].items():
        size = "none" if one["size"] is None else f"{one['size']:.1f}"
        yield (
            f"* {METHODS[method]}: {one['with_any']} of {one['facts']} facts share a neuron; sets "
            f"have {size} neurons; {one['same_answer']} facts have one spelling of the answer."
        )
    yield ""
    shown = {METHODS[m]: one["steps"] for m, one in found["sharing"].items()}
    yield from table("beyond", SHARES, shown, factor=1, digits=2)
    yield """### Cross-lingual editing (Chen et al., Table 2)

Success rates. *Published*: each arm on the facts that have such a set; *same facts*: on those that
share neurons. "Sequential" is what their code does: the first edit is undone before the second.

| language | edited | published way | same facts | paper |
|---|---|---|---|---|"""
    for language, one in found["editing"].items():
        for name, words in EDITS.items():
            ratios = [number(one[way][name], 2) for way in ("published", "same_facts")]
            yield row([language, words, *ratios, PAPER_EDITS.get((language, name), "")])
    yield ""


def _degenerate(found: Mapping[str, Any]) -> Iterator[str]:
    low, high = found["plan"]["low"], found["plan"]["high"]
    yield f"""## Degenerate pairs (Chen et al., equations 9 and 10)

Pairs among a fact's strongest neurons whose members alone cost at most {100 * low:.0f} % of
P(answer) and that cost more than {100 * high:.0f} % together. *Additive*: of those found, the pairs
that cost no more together than two neurons whose effects on log P(answer) add up.

| language | facts with pairs | with any found | pairs | found | of these additive |
|---|---|---|---|---|---|"""
    for language, one in found["degenerate"].items():
        names = ("facts", "facts_with_any", "pairs", "found", "additive")
        yield row([language, *(one[name] for name in names)])
    yield "\nRate of pairs found, percentage points.\n"
    shown = {code: one["steps"] for code, one in found["degenerate"].items()}
    yield from table("beyond", PAIRS, shown, factor=100, digits=1)


def _checking(found: Mapping[str, Any]) -> Iterator[str]:
    limit = found["plan"]["threshold"]
    yield f"""## Fact checking (Chen et al., section 5.3)

A claim is called true if the mean attribution of its relation's degenerate neurons for the claimed
answer is at least {limit:g}. One true and one false claim about each fact; only relations with
degenerate neurons are covered.

| language | covered | claims | detector | precision | recall | F1 | AUROC |
|---|---|---|---|---|---|---|---|"""
    for language, one in found["checking"].items():
        for name, words in DETECTORS.items():
            measures = one["detectors"][name]
            cells = [number(measures[m], 2) for m in ("precision", "recall", "f1", "auroc")]
            covered = f"{one['covered']} of {one['relations']}"
            yield row([language, covered, one["claims"], words, *cells])
    yield "\nHow often the true claim has the larger score, percentage points.\n"
    shown = {code: one["steps"] for code, one in found["checking"].items()}
    yield from table("beyond", CHECKS, shown, factor=100, digits=0)


def _reading(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## What is left of each published effect\n"
    for language, methods in found["sets"].items():
        for name, one in methods.items():
            what = f"{METHODS[name]} ({language}): their effect on their own fact"
            yield _sentence(what, CONTROLS, one["steps"], ("push", "other", "held_out"))
    for name, one in found["sharing"].items():
        what = f"{METHODS[name]}: the neurons that two languages share"
        yield _sentence(what, SHARES, one["steps"], ("random", "other", "sibling"))
    for language, one in found["degenerate"].items():
        what = f"Degenerate pairs ({language})"
        yield _sentence(what, PAIRS, one["steps"], ("other", "log_odds", "opposite"))
    for language, one in found["checking"].items():
        what = f"Fact checking ({language})"
        yield _sentence(what, CHECKS, one["steps"], ("random", "knowledge", "claim_probability"))


def _sentence(what: str, words: Mapping[str, str], steps: Steps, names: tuple[str, ...]) -> str:
    by = {one["name"]: one for one in steps}
    told = [f"beside {words[name]}: {left(by[name], steps[0])}" for name in names]
    return f"* {what}, {interval(steps[0], 1, 3)} without a control; {'; '.join(told)}."
