"""Command: what a run will cost, from a model's config.json and counts alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.printing import Found
from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.units import amount, duration, size_of

KEYS = {
    "model": "the model's sizes, as they were read: `layers`, `d_model`, `neurons` and others",
    "size": "what is asked: the counts, and what is assumed of the model's answers",
    "device": "the device: `name`, `peak` (FLOP/s), `memory` (bytes), shares of the peak, `source`",
    "devices": "how many there are",
    "needed": "devices over which the model has to be laid",
    "verdict": "whether it fits, in words",
    "fits": "the same, true or false",
    "parameters": "numbers of the model's matrices",
    "weight_bytes": "bytes of these in the device's precision",
    "host_bytes": "the host's memory at its largest",
    "device_bytes": "one device's memory at its largest; 0 where host and device are one",
    "disk_bytes": "on disk: the model and what all stages write",
    "seconds": "all stages, one after another",
    "device_hours": "hours of all devices together",
    "stages[].stage": "its name",
    "stages[].flops": "FLOPs of its matrix products, all languages together",
    "stages[].compared": "pairs of values that it compares, when neurons are ranked",
    "stages[].disk_bytes": "what it writes",
    "stages[].host_bytes": "the host's memory that it takes, next to the weights",
    "stages[].device_bytes": "the device's memory that it takes, next to the weights",
    "stages[].seconds": "how long it takes",
    "stages[].device_hours": "hours of the devices that it holds",
}
PARAMS = "params.yaml"
RELATIONS, TEMPLATES = 12, 4
NOT_MEASURED = (
    "An estimate, from formulas of what each stage computes: docs/costs.md says how far they are "
    "from counted and measured runs. `make plan` is another thing: which stages of this "
    "repository would run again, with the times they took last."
)


def plan(
    model_config: Annotated[
        str,
        typer.Option(
            "--model-config",
            metavar="FILE",
            help="The model's config.json, or the name of one that is known, such as llama-2-7b.",
        ),
    ],
    facts: Annotated[int, typer.Option("--facts", metavar="N", min=1, help="Facts per language.")],
    languages: Annotated[int, typer.Option("--languages", metavar="L", min=1, help="Languages.")],
    relations: Annotated[
        int, typer.Option("--relations", metavar="R", min=1, help="Relations.")
    ] = RELATIONS,
    templates: Annotated[
        int, typer.Option("--templates", metavar="P", min=1, help="Paraphrases of each fact.")
    ] = TEMPLATES,
    right: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the prompts answered right.")
    ] = 0.43,
    prompt_tokens: Annotated[
        float, typer.Option("--prompt-tokens", metavar="N", help="Tokens of a prompt.")
    ] = 12.9,
    answer_tokens: Annotated[
        float, typer.Option("--answer-tokens", metavar="N", help="Tokens of an answer.")
    ] = 2.1,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="laptop, rtx4090, l4, a100, h100 or h200.")
    ] = "laptop",
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", min=1, help="Such devices.")] = 1,
    measure: Annotated[
        bool, typer.Option("--measure", help="Take this machine's peak, measured for some seconds.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A parameter, such as interference.n_draws=5."
        ),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a run would cost: FLOPs, disk, memory and hours of its stages.

    From the model's config.json and counts alone; no weights are read. Parameters are those of
    params.yaml in the repository, or the shipped ones where there is none.

    For example: neuron-atlas plan --model-config llama-2-7b --facts 308 --languages 6 --device h100
    """
    from neuron_atlas.costs import devices, inputs
    from neuron_atlas.costs.estimate import as_row, estimate
    from neuron_atlas.costs.passes import Passes
    from neuron_atlas.costs.run_size import RunSize

    shape, softcap = inputs.read_model(model_config)
    size = RunSize(
        *(languages, facts, relations, templates),
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        candidate_tokens=answer_tokens,
        right=right,
    )
    given = Passes(shape, size, softcap=softcap)
    chosen = devices.find(device)
    chosen = devices.measured(chosen) if measure else chosen
    how = inputs.read_settings(_repository(data) / PARAMS, settings or [])
    one = estimate(given, how, chosen, n_devices=gpus)
    found = {
        "model": vars(shape),
        "size": vars(size),
        "device": vars(chosen),
        "devices": gpus,
        "needed": one.needed,
        "verdict": one.verdict,
        "fits": one.fits,
        "parameters": shape.parameters,
        "weight_bytes": one.weights,
        "host_bytes": one.host,
        "device_bytes": one.on_device,
        "disk_bytes": one.disk,
        "seconds": one.seconds,
        "device_hours": one.device_hours,
        "stages": [dict(as_row(stage)) for stage in one.stages],
    }
    printing.show(found, as_json, _shown)


def _repository(data: Path | None) -> Path:
    """Return the repository that is named or that the present folder is in; else this folder."""
    try:
        return outputs.find(data).root
    except ValueError:
        if data is not None:
            raise
        return Path()


def _shown(found: Found) -> Iterator[RenderableType]:
    columns = {"stage": "!", "FLOPs": ">", "disk": ">", "memory": ">", "time": ">", "hours": ">"}
    rows = [
        (
            one["stage"],
            amount(one["flops"], "") if one["flops"] else None,
            size_of(one["disk_bytes"]),
            size_of(_memory(one, found)),
            duration(one["seconds"]),
            f"{one['device_hours']:.2g}",
        )
        for one in found["stages"]
    ]
    yield printing.table(columns, rows)
    yield printing.pairs(_summary(found))
    yield printing.prose(NOT_MEASURED)


def _memory(stage: Found, found: Found) -> Amount:
    """Return the bytes that a stage takes at its largest.

    Where host and device are one, all of it together, with libraries and the weights if it loads
    them: the largest is the run's `host_bytes`. Else the host's or the device's, whichever is more,
    next to the weights.
    """
    from neuron_atlas.costs.estimate import LIBRARIES
    from neuron_atlas.costs.stages import WITHOUT_MODEL

    host, device = stage["host_bytes"], stage["device_bytes"]
    if found["device"]["accelerator"]:
        return float(max(host, device))
    weights = 0.0 if stage["stage"] in WITHOUT_MODEL else found["weight_bytes"]
    return float(LIBRARIES + host + device + weights)


def _summary(found: Found) -> Mapping[str, object]:
    device = found["device"]
    return {
        "model": f"{amount(found['parameters'], '')} parameters, {size_of(found['weight_bytes'])}",
        "on": f"{found['devices']} x {device['name']} ({device['source']})",
        "fits": found["verdict"],
        "time": duration(found["seconds"]),
        "device-hours": f"{found['device_hours']:.3g}",
        "disk": size_of(found["disk_bytes"]),
        "host memory": size_of(found["host_bytes"]),
        "device memory": size_of(found["device_bytes"]) if found["device_bytes"] else None,
    }
