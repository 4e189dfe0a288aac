"""Command: how the model ranks answers to a prompt, or how it would go on."""

import csv
from collections.abc import Iterator
from math import exp
from typing import Annotated

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.printing import Found, number, percent

KEYS = {
    "prompt": "as it was asked, without spaces at its end",
    "given": "whether the answers were given; else they are the likeliest next tokens",
    "answers[].rank": "from 1, the likeliest",
    "answers[].answer": "the candidate, or the token with its spaces",
    "answers[].log_probability": "of the whole answer, and of none of the others that continues it",
    "answers[].probability": "the same as a probability",
    "answers[].share": "of what all candidates have together; null for next tokens",
}

Prompt = Annotated[str, typer.Argument(help="Ends where the answer begins.", show_default=False)]
Candidates = Annotated[
    str | None,
    typer.Option(
        "--candidates",
        metavar="A,B,...",
        help="Answers to compare, separated by commas; one with a comma stands in double quotes. "
        "Without any, the likeliest next tokens.",
    ),
]
Top = Annotated[
    int, typer.Option("--top", metavar="N", min=1, max=1000, help="Next tokens to show.")
]


def ask(
    prompt: Prompt,
    candidates: Candidates = None,
    top: Top = 10,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask the model a prompt, and rank answers to it.

    Log-probabilities (nats) and probabilities of given answers, or of the likeliest next tokens.

    For example: neuron-atlas ask "The capital of France is" --candidates Paris,Rome
    """
    folder = outputs.find(data).need(*outputs.MODEL)
    given = listed(candidates)
    from neuron_atlas.live import asking, loading

    lm = loading.load(folder)
    asked = asking.question(lm, prompt, given) if given else asking.likeliest(lm, prompt, top)
    ranks = asking.ask(lm, asked)
    answers = [
        {
            "rank": rank,
            "answer": asked.labels[place],
            "log_probability": float(ranks.log_probability[place]),
            "probability": exp(ranks.log_probability[place]),
            "share": float(ranks.share[place]) if given else None,
        }
        for rank, place in enumerate(ranks.places, 1)
    ]
    found = {"prompt": asked.prompt, "given": asked.given, "answers": answers}
    printing.show(found, as_json, _shown)


def listed(candidates: str | None) -> list[str]:
    """Return the candidates of a line; none if there is no line.

    Raises:
        ValueError: the line is empty or cannot be read.
    """
    if candidates is None:
        return []
    try:
        row = [cell for line in csv.reader([candidates], skipinitialspace=True) for cell in line]
    except csv.Error as error:
        raise ValueError(f"--candidates: {error}, in {candidates!r}") from error
    if not row:
        raise ValueError("--candidates: expected answers such as Paris,Rome, got none")
    return row


def _shown(found: Found) -> Iterator[RenderableType]:
    yield printing.prose(found["prompt"] + " …")
    given = found["given"]
    columns = {"rank": ">", "answer" if given else "next token": "<", "log p": ">", "p, %": ">"}
    columns |= {"among these, %": ">"} if given else {}
    yield printing.table(
        columns,
        (
            [
                one["rank"],
                one["answer"] if given else printing.token(one["answer"]),
                number(one["log_probability"]),
                percent(one["probability"]),
                *([percent(one["share"])] if given else []),
            ]
            for one in found["answers"]
        ),
    )
