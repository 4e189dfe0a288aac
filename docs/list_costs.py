"""Write the tables of docs/costs.md from the formulas and the committed figures: `make docs`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuron_atlas.costs import explaining, model_shape, settings, stages
from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.devices import DEVICES
from neuron_atlas.costs.estimate import Estimate, estimate
from neuron_atlas.costs.inputs import read_settings
from neuron_atlas.costs.passes import Passes
from neuron_atlas.costs.run_size import RunSize
from neuron_atlas.costs.units import amount, duration, size_of

PAGE = Path(__file__).with_name("costs.md")
FIGURES = Path(__file__).parents[1] / "benchmarks"
SIZE = RunSize(languages=6, facts=308, relations=12, templates=4)
MODELS = ("llama-2-7b", "llama-2-13b", "llama-2-70b")
MACHINES = (("h100", 1), ("h100", 8), ("laptop", 1))


def models() -> str:
    """Return the table of models on machines."""
    how = read_settings()
    head = ["model", "machine", "fits", "time", "device-hours", "disk", "host memory"]
    head += ["memory of a device", "stage `attributions`", "the same prompts by AMIG's code"]
    body = []
    for model in MODELS:
        given = Passes(model_shape.of_config(KNOWN[model]), SIZE)
        published = explaining.published_attributions(given, how)
        for name, n in MACHINES:
            device = DEVICES[name]
            one = estimate(given, how, device, n_devices=n)
            theirs = published.flops / (device.peak * explaining.PUBLISHED_SHARE)
            body.append([model, f"{n} x {name}", *_machine(one), duration(theirs)])
    return _table(head, body)


def _machine(one: Estimate) -> Iterator[str]:
    yield one.verdict
    yield duration(one.seconds)
    yield f"{one.device_hours:.2g}" if one.device.accelerator else "–"
    yield size_of(one.disk)
    yield size_of(one.host)
    yield size_of(one.on_device) if one.on_device else "–"
    (own,) = (stage for stage in one.stages if stage.stage == "attributions")
    yield duration(own.seconds)


def errors() -> str:
    """Return the table of estimates beside what was counted."""
    sizes = _read("costs.json")
    names = list(dict.fromkeys(row["stage"] for one in sizes for row in one["stages"]))
    head = ["stage", *(f"{one['size']}: counted" for one in sizes)]
    head += [f"{one['size']}: error" for one in sizes]
    body = []
    for name in names:
        found = [next((r for r in one["stages"] if r["stage"] == name), None) for one in sizes]
        counted = [amount(row["counted"], "") if row else "–" for row in found]
        body.append(
            [f"`{name}`", *counted, *(f"{row['error']:+.0%}" if row else "–" for row in found)]
        )
    whole = [amount(one["counted"], "") for one in sizes]
    body.append(["**all**", *whole, *(f"**{one['error']:+.0%}**" for one in sizes)])
    return _table(head, body)


def estimated(run: Mapping[str, Any]) -> dict[str, int]:
    """Return what the formulas say of a counted run, by stage."""
    given = Passes(model_shape.of_config(run["model"]), RunSize(**run["counts"]))
    said = stages.work(given, settings.of_sections(run["parameters"]))
    return {row["stage"]: round(said[row["stage"]].flops) for row in run["stages"]}


def runs() -> str:
    """Return what whole runs took, beside what the formulas say at the machine's own rates."""
    head = ["run", "time", "said", "error", "largest memory", "said", "error"]
    head += ["disk of its stages", "said", "error"]
    body = []
    for name, run in _read("run_costs.json").items():
        found = took_and_said(run)
        shown = ((duration, "seconds"), (size_of, "memory"), (size_of, "disk"))
        pairs = [(show, *found[what]) for show, what in shown]
        cells = [c for show, was, by in pairs for c in (show(was), show(by), _error(by, was))]
        body.append([name, *cells])
    return _table(head, body)


def took_and_said(run: Mapping[str, Any]) -> dict[str, tuple[Amount, Amount]]:
    """Return seconds of a watched run, largest memory and disk of its stages, beside what is said.

    The model's own stage is left out, and with it the weights on disk.
    """
    said, took = said_of_run(run), run["stages"]
    return {
        "seconds": (sum(one["seconds"] for one in took), said.seconds),
        "memory": (max(one["memory_bytes"] for one in took), said.host),
        "disk": (sum(one["disk_bytes"] for one in took), said.disk - said.weights),
    }


def run_stages() -> str:
    """Return the seconds of each stage of these runs, and how far the formulas are from them."""
    found = _read("run_costs.json")
    head = ["stage", *(f"{name}: {what}" for name in found for what in ("took", "error"))]
    body = []
    for i, name in enumerate(stages.WORK):
        cells = [f"`{name}`"]
        for run in found.values():
            took, said = run["stages"][i]["seconds"], said_of_run(run).stages[i].seconds
            cells += [f"{took:.1f} s", _error(said, took)]
        body.append(cells)
    return _table(head, body)


def said_of_run(run: Mapping[str, Any]) -> Estimate:
    """Return what the formulas say of a run that was watched, on the machine that it ran on."""
    given = Passes(
        model_shape.of_config(run["model"]), RunSize(**run["counts"]), softcap=run["softcap"]
    )
    device = replace(DEVICES["laptop"], **run["machine"])
    return estimate(given, settings.of_sections(run["parameters"]), device)


def _error(said: Amount, was: Amount) -> str:
    return f"{said / was - 1:+.0%}"


def selecting() -> str:
    """Return the table of how scoring grows, as it was measured, or that it was not."""
    if not (FIGURES / "selecting.json").exists():
        return "Not measured yet: `python benchmarks/selecting.py` writes the figures.\n"
    body = [
        [
            row["axis"],
            row["work"],
            ", ".join(f"{n:,}" for n in row["sizes"]),
            ", ".join(f"{s:.3g}" for s in row["seconds"]),
            f"{row['exponent']:.2f}",
        ]
        for row in _read("selecting.json")
    ]
    return _table(["what grows", "what is run", "sizes", "seconds", "exponent"], body)


def dvc() -> str:
    """Return the table of what DVC took, and what follows for a large set."""
    found = _read("dvc_limits.json")
    body = [
        [
            f"{row['files']} x {size_of(row['bytes'] / row['files'])}",
            f"{row['add_s']:.1f} s",
            f"{row['hashed_mb_per_s']} MB/s",
            f"{row['status_s']:.1f} s",
            f"{row['checkout_s']:.1f} s",
        ]
        for row in found["measured"]
    ]
    head = ["files", "hash and cache", "rate", "nothing changed", "link anew"]
    target = size_of(found["target_bytes"])
    rates = [row["hashed_mb_per_s"] * 1e6 for row in found["measured"]]
    least, most = (duration(found["target_bytes"] / rate) for rate in (max(rates), min(rates)))
    later = f"Extrapolated at these rates, {target} take {least} to {most} to hash, once.\n"
    return f"{_table(head, body)}\n{later}"


def _read(name: str) -> Any:
    return json.loads((FIGURES / name).read_text(encoding="utf-8"))


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


TABLES = {
    "models": models,
    "errors": errors,
    "runs": runs,
    "run stages": run_stages,
    "selecting": selecting,
    "dvc": dvc,
}


def page(text: str) -> str:
    """Return the page with its tables made anew.

    Raises:
        ValueError: the page lacks the marks of a table.
    """
    for name, make in TABLES.items():
        start, end = f"<!-- {name}: `python docs/list_costs.py` -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE.name}: expected {start.strip()} and then {end}")
        text = f"{before}{start}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
