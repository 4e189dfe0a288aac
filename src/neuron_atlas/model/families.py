"""Which model families are known: those of this library, and those that other packages register."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neuron_atlas.model.architectures import ARCHITECTURES, BY_SETTINGS, Architecture

GROUP = "neuron_atlas.architectures"
_EXPERTS = (
    "its MLPs are experts: a router sends each token to a few of them, so that a neuron has no "
    "value at the tokens of the others, and no down-projection reads all of a layer's neurons"
)
_SEQ2SEQ = "it is an encoder with a decoder, of which neither can be asked alone"
REFUSED = {
    **dict.fromkeys(("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss"), _EXPERTS),
    **dict.fromkeys(("bart", "m2m_100", "mbart", "mt5", "t5"), _SEQ2SEQ),
}


def architecture(model_type: str, settings: Mapping[str, Any] | None = None) -> Architecture:
    """Return a family's row.

    Args:
        model_type: The family's name in Hugging Face's `config.json`.
        settings: The other keys there; without them a family whose settings decide where something
            is has its usual places.

    Raises:
        ValueError: the family is unknown, is one that has no neurons in the sense of this library,
            or is registered by another package that is broken or clashes with this library or
            with a third; the message says which are known.
    """
    outside = _registered()
    if model_type in BY_SETTINGS and settings is not None:
        return BY_SETTINGS[model_type](settings)
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    if model_type in outside:
        return _loaded(outside[model_type])
    known = sorted({*ARCHITECTURES, *outside})
    if model_type in REFUSED:
        raise ValueError(
            f"unsupported architecture {model_type!r}: {REFUSED[model_type]}; supported: {known}"
        )
    raise ValueError(
        f"unsupported architecture {model_type!r}; supported: {known}. Another family is one row "
        f"of module paths, which a package can register under the entry point {GROUP}: see the "
        "section 'A new model family' of CONTRIBUTING.md"
    )


def _registered() -> dict[str, EntryPoint]:
    """Return the families of other packages, by name; nothing of them is imported.

    Raises:
        ValueError: a name is taken.
    """
    found: dict[str, EntryPoint] = {}
    for entry in _entries():
        if entry.name in ARCHITECTURES:
            raise ValueError(
                f"{_owner(entry)} registers the model family {entry.name!r}, which neuron_atlas "
                "has; uninstall it, or let it register another name"
            )
        if entry.name in found:
            raise ValueError(
                f"{_owner(found[entry.name])} and {_owner(entry)} both register the model family "
                f"{entry.name!r}; uninstall one of them"
            )
        found[entry.name] = entry
    return found


@cache
def _entries() -> tuple[EntryPoint, ...]:
    """Return what is registered; the installed packages are looked through once per process."""
    return tuple(entry_points(group=GROUP))


def _loaded(entry: EntryPoint) -> Architecture:
    """Import a family's row.

    Raises:
        ValueError: it cannot be imported, or is no row.
    """
    where = f"the model family {entry.name!r} of {_owner(entry)}, {entry.value}"
    try:
        row = entry.load()
    except Exception as error:  # whatever the other package's code raises
        raise ValueError(
            f"{where}, cannot be imported: {type(error).__name__}: {error}; mend or uninstall it"
        ) from error
    if not isinstance(row, Architecture):
        raise ValueError(
            f"{where}, must be an Architecture of neuron_atlas.model.architectures, got "
            f"{type(row).__name__}; mend or uninstall it"
        )
    from transformers import CONFIG_MAPPING

    if entry.name not in CONFIG_MAPPING:  # transformers would offer to run code beside the weights
        raise ValueError(
            f"{where}, must be a family of transformers, or register its classes with AutoConfig "
            f"and the AutoModel that loads it; transformers knows no {entry.name!r}"
        )
    return row


def _owner(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name if entry.dist is not None else 'of unknown name'}"
