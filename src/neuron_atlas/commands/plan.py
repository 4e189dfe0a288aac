"""Command: what a run will cost, from a model's config.json and counts alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.printing import Found
from neuron_atlas.costs.amount import Amount

if TYPE_CHECKING:
    from neuron_atlas.costs.model_shape import ModelShape
    from neuron_atlas.costs.settings import Settings

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
    from neuron_atlas.costs import devices
    from neuron_atlas.costs.estimate import as_row, estimate
    from neuron_atlas.costs.passes import Passes
    from neuron_atlas.costs.run_size import RunSize

    shape, softcap = _model(model_config)
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
    one = estimate(given, _settings(data, settings or []), chosen, n_devices=gpus)
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


def _model(given: str) -> "tuple[ModelShape, bool]":
    """Read a config.json or a known one: the sizes, and whether logits are squashed.

    Raises:
        ValueError: there is no such file or name, or it is no config.json of a language model that
            the engine supports.
    """
    from neuron_atlas.costs import model_shape
    from neuron_atlas.costs.configs import KNOWN

    if given in KNOWN:
        return model_shape.of_config(KNOWN[given]), False
    path = Path(given)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"{given} is no file and no known model: expected a config.json, or one of "
            f"{', '.join(KNOWN)}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}; give a model's config.json") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected an object, got {type(config).__name__}")
    own = model_shape.language_model(config)
    return model_shape.of_config(config), bool(own.get("final_logit_softcapping"))


def _settings(data: Path | None, changes: list[str]) -> "Settings":
    """Return the parameters of the repository, or the shipped ones, with some set otherwise.

    Raises:
        ValueError: a change names no parameter, or a value does not fit.
    """
    from importlib.resources import files

    from neuron_atlas.costs import settings
    from neuron_atlas.pipeline import params

    shipped = files("neuron_atlas").joinpath("page/shipped_parameters.json")
    values = json.loads(shipped.read_text("utf-8"))
    path = _repository(data) / PARAMS
    if path.is_file():
        values |= params.read_yaml(path)
    for change in changes:
        _change(values, change)
    return settings.of_sections(values)


def _repository(data: Path | None) -> Path:
    """Return the repository that is named or that the present folder is in; else this folder."""
    try:
        return outputs.find(data).root
    except ValueError:
        if data is not None:
            raise
        return Path()


def _change(values: dict[str, Any], change: str) -> None:
    """Set a parameter otherwise.

    Raises:
        ValueError: it names no parameter, one that no formula reads, or what follows is no value.
    """
    from neuron_atlas.costs.settings import SECTIONS

    key, equals, text = change.partition("=")
    *sections, name = key.split(".")
    place: Any = values
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not equals or not sections or not isinstance(place, dict) or name not in place:
        raise ValueError(
            f"--set {change}: expected a key of params.yaml and its value, such as "
            "interference.n_draws=5"
        )
    if sections[0] not in SECTIONS:
        raise ValueError(
            f"--set {change}: no formula reads {sections[0]}; the sections that count are "
            f"{', '.join(SECTIONS)}"
        )
    place[name] = _value(change, text)


def _value(change: str, text: str) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"--set {change}: expected a value as in params.yaml, such as 5 or [0.5, 1], got "
            f"{text!r}: {why}"
        ) from error


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


def amount(value: Amount, unit: str) -> str:
    """Return a large number with three digits and its prefix."""
    for factor, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def size_of(value: Amount) -> str:
    """Return bytes with their prefix."""
    return amount(value, "B")


def duration(seconds: Amount) -> str:
    """Return seconds, minutes, hours or days."""
    for factor, unit in ((86400 * 2, "days"), (3600 * 2, "h"), (120, "min")):
        if seconds >= factor:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.3g} {unit}"
    return f"{seconds:.0f} s"
