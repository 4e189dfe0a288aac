"""Command: the claims of the literature, and what the run says of each."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json, claims
from neuron_atlas.commands.printing import Found, brief, number
from neuron_atlas.report.claims import CLAIMS

KEYS = {
    "whose": "whose numbers these are, in words: `its own`, or another run's; null if not known",
    "verdicts[].claim": "its name in files and options",
    "verdicts[].name": "the same for people",
    "verdicts[].verdict": "supported, contradicted, not supported, undecided or untestable",
    "verdicts[].effect": "mostly nats; null where nothing could be measured",
    "verdicts[].low": "lower end of its 95 % interval",
    "verdicts[].high": "upper end",
    "verdicts[].mde": "the smallest effect found in 80 of 100 such runs",
    "verdicts[].p_value": "of the effect",
    "verdicts[].p_holm": "the same, corrected over all claims",
    "verdicts[].reason": "why the claim is untestable, or null",
    "verdicts[].tested": "what was measured",
    "verdicts[].against": "the control",
    "verdicts[].published": "what the paper says",
}
SUMMARY = "metrics/summary.json"
NUMBERS = ("effect", "low", "high", "mde", "p_value", "p_holm")
TEXTS = ("tested", "against", "published")


def verdicts(
    claim: Annotated[
        str | None,
        typer.Argument(autocompletion=claims, help="One claim, in full; by default all of them."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What the run says of each claim, with interval and control.

    The verdict, the effect with its 95 % interval, the smallest effect that would be found, and
    what it is compared with; docs/results.md defines the words.

    For example: neuron-atlas verdicts relation_neurons_exist
    """
    run = outputs.find(data)
    every = outputs.read_json(run.need_tracked(SUMMARY, "report"))["verdicts"]
    names = [outputs.require(claim, every, what="claim")] if claim else list(every)
    found = {
        "whose": outputs.told_whose(run),
        "verdicts": [_verdict(name, every[name]) for name in names],
    }
    printing.show(found, as_json, _in_full if claim else _in_short)


def _verdict(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    question = one.get("question") or {}
    return {
        "claim": name,
        "name": CLAIMS[name].name if name in CLAIMS else name,
        "verdict": one["verdict"],
        **{key: one.get(key) for key in (*NUMBERS, "reason")},
        **{key: question.get(key) for key in TEXTS},
    }


def _in_short(found: Found) -> Iterator[RenderableType]:
    for one in found["verdicts"]:
        yield printing.prose(f"{one['name']} ({one['claim']}): {one['verdict']}", style="bold")
        yield printing.indented(_numbers(one))
        if one["reason"]:
            yield printing.indented(f"why: {one['reason']}")
        if one["against"]:
            yield printing.indented(f"control: {one['against']}")
    yield printing.prose(
        "In brackets the 95 % interval; “would find” is the smallest effect found in 80 of 100 "
        "such runs. A claim in full: neuron-atlas verdicts CLAIM"
    )


def _numbers(one: Mapping[str, Any]) -> str:
    """Return effect, interval and smallest effect to be found, as far as they are known."""
    if one["effect"] is None:
        return "no effect measured"
    found = f", would find {one['mde']:.2g}" if one["mde"] is not None else ""
    interval = (one["low"], one["high"])
    ends = "" if None in interval else f" [{brief(one['low'])}, {brief(one['high'])}]"
    chance = f", p {one['p_value']:.2g}" if one["p_value"] is not None else ""
    return f"effect {brief(one['effect'])}{ends}{found}{chance}"


def _in_full(found: Found) -> Iterator[RenderableType]:
    (one,) = found["verdicts"]
    rows = {
        "claim": f"{one['name']} ({one['claim']})",
        "verdict": one["verdict"],
        "why": one["reason"],
        "measured": _numbers(one),
        "p": number(one["p_value"], 4),
        "p over all claims": number(one["p_holm"], 4),
        "tested": one["tested"],
        "control": one["against"],
        "in the papers": one["published"],
    }
    yield printing.pairs(rows)
