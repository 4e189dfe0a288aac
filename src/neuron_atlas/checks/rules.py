"""Checks of parameters that are each valid alone but may not fit together."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuron_atlas.model.architectures import Architecture

_CODE = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")


def codes(languages: Sequence[str]) -> None:
    """Require language codes that may stand on a command line and in a file's name.

    Raises:
        ValueError: a code has other characters, to which the shell or the file system could give
            a meaning.
    """
    odd = [code for code in languages if len(code) > 32 or not _CODE.fullmatch(code)]
    if odd:
        raise ValueError(
            "languages: expected codes such as en or zh-Hans, of at most 32 letters and digits "
            f"with single '-' or '_' between them, got {odd}; rename them"
        )


def templates(problems: Sequence[str]) -> None:
    """Require sound templates.

    Raises:
        ValueError: there are `problems`; the message has the first of them.
    """
    if problems:
        more = f"; and {len(problems) - 1} more, see `make lint-templates`" if problems[1:] else ""
        raise ValueError(problems[0] + more)


def languages(chosen: Sequence[str], available: Sequence[str], folder: Path) -> None:
    """Require templates for every chosen language.

    Raises:
        ValueError: a language is unknown; the message lists the available ones.
    """
    unknown = [code for code in chosen if code not in available]
    if unknown:
        raise ValueError(
            f"languages: no templates for {unknown}; available: {list(available)}. Add "
            f"{folder}/<code>.yaml to have another"
        )


def size(k: int, *, n_layers: int, n_neurons: int) -> None:
    """Require a set of `k` neurons to leave at least as many others for its random controls.

    Raises:
        ValueError: `k` is not in [1, half of the neurons].
    """
    most = n_layers * n_neurons // 2
    if not 1 <= k <= most:
        raise ValueError(
            f"relation_neurons.k must be in [1, {most}], half of the neurons of "
            f"{n_layers} layers of {n_neurons}, got {k}"
        )


def relations(names: Sequence[str]) -> None:
    """Require something to compare a relation with.

    Raises:
        ValueError: there are fewer than two relations.
    """
    if len(names) < 2:
        raise ValueError(f"facts.relations needs at least two relations to compare, got {names}")


def site(name: str, model_type: str, architecture: Architecture) -> None:
    """Require the model's MLP to have the site: a fused one has neither `gate` nor `up`.

    Raises:
        ValueError: the MLP has no module whose output is the site.
    """
    modules = {"gate": architecture.gate, "up": architecture.up}
    if name in modules and modules[name] is None:
        others = [other for other, module in modules.items() if module is not None]
        raise ValueError(
            f"activations.site {name!r}: the MLP of {model_type} has no {name}; "
            f"use {', '.join(['hidden', *others])} or down"
        )


def replaced(section: str, *, value: str, positions: str, pooling: str) -> None:
    """Require means to be taken at the positions where they are written.

    Raises:
        ValueError: the mean would be taken over other positions than the edited ones.
    """
    fits = {"answer": "answer", "all": "mean"}[positions]
    if value != "zero" and pooling != fits:
        raise ValueError(
            f"{section}.value {value!r} at {positions!r} positions needs activations.pooling "
            f"{fits!r}, got {pooling!r}; change one of them or set {section}.value: zero"
        )


def controls(section: Mapping[str, Any]) -> None:
    """Require draws and multiples of the section `interference` to fit one another.

    Raises:
        ValueError: fewer random sets are drawn in all than for a part of the measurements, or a
            push is given twice or is the set's own, which is measured anyway.
    """
    for name in ("n_across_draws", "n_dose_draws"):
        if section[name] > section["n_draws"]:
            raise ValueError(
                f"interference.{name} is {section[name]}, but interference.n_draws draws "
                f"{section['n_draws']} sets in all; lower it or raise n_draws"
            )
    for name in ("doses", "pushes"):
        values = section[name]
        if len(set(values)) < len(values):
            raise ValueError(f"interference.{name} must differ from one another, got {values}")
    if 1 in section["pushes"]:
        raise ValueError(
            f"interference.pushes must not hold 1, the set's own push, got {section['pushes']}; "
            "it is always measured"
        )


def demonstrations(name: str, shots: int, facts: Mapping[str, Any]) -> None:
    """Require enough development facts for the `shots` of a parameter, as far as params tell.

    Raises:
        ValueError: the development share of the largest relation is smaller than `shots`.
    """
    if facts["max_per_relation"] is None:
        return
    most = round(facts["development_share"] * facts["max_per_relation"])
    if shots > most:
        raise ValueError(
            f"{name} is {shots}, but facts.development_share "
            f"{facts['development_share']} of {facts['max_per_relation']} facts leaves {most} to "
            "show; lower shots or raise the share"
        )


def stored(sections: Mapping[str, Any]) -> None:
    """Require attributions to store what later stages select from.

    Raises:
        ValueError: a threshold is below the stored floor, more neurons are wanted than are
            stored, or fewer are edited than there are sources.
    """
    checking = sections["degenerate_neurons"]["checking"]
    taus = {
        "selection.tau": sections["selection"]["tau"],
        "degenerate_neurons.checking.tau": checking["tau"],
    }
    search, edited = sections["degenerate_neurons"]["search"], sections["editing"]
    wanted = {
        "selection.max_neurons": sections["selection"]["max_neurons"],
        "language_neurons.k": sections["language_neurons"]["k"],
        "degenerate_neurons.search.candidates": search["candidates"],
        "degenerate_neurons.search.pool": search["pool"],
        "editing.neurons": edited["neurons"],
    }
    _above_floor(taus, sections["attributions"]["floor"])
    _one_per_source(edited["neurons"], edited["n_sources"])
    _kept(wanted, sections["attributions"]["keep"])


def _above_floor(taus: Mapping[str, float], floor: float) -> None:
    for name, tau in taus.items():
        if tau < floor:
            raise ValueError(
                f"{name} is {tau}, but attributions.floor {floor} stores no weaker neurons; raise "
                "the one or lower the other"
            )


def _one_per_source(neurons: int, n_sources: int) -> None:
    if neurons < n_sources:
        raise ValueError(
            f"editing.neurons is {neurons}, too few for a part of each of {n_sources} sources; "
            "raise it or lower editing.n_sources"
        )


def _kept(wanted: Mapping[str, int], keep: int) -> None:
    for name, k in wanted.items():
        if k > keep:
            raise ValueError(
                f"{name} is {k}, but attributions.keep stores {keep} neurons per prompt; lower it "
                "or raise keep"
            )
