"""Read facts from a data set of the Hugging Face Hub, at one revision."""

import re
from collections.abc import Iterator, Mapping, Sequence

import datasets
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from neuron_atlas.files.delimited import Row
from neuron_atlas.files.json_values import shown
from neuron_atlas.sources.glance import REQUIRED
from neuron_atlas.sources.own import LABELS, OPTIONAL, collect
from neuron_atlas.sources.raw import Raw

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")
_LANGUAGE = "{language}"


def read(
    dataset: str,
    revision: str,
    *,
    subset: str | None,
    split: str,
    columns: Mapping[str, str],
    language: str,
    relations: Sequence[str] | None,
) -> Raw:
    """Read one language of a data set with one fact per row. None of its code is ever run.

    Args:
        dataset: `owner/name`.
        revision: A commit, 40 hexadecimal digits: a branch may change.
        subset: The configuration's name, or None for the only one.
        split: The split's name; in `{language}` the language is put in. Then each language has a
            split, and no column says which it is.
        columns: Our name to the data set's, for each of `own.REQUIRED` and, if labels differ from
            ids, of `own.LABELS`; also of `own.OPTIONAL`.
        language: One of the split's languages.
        relations: Those to read; None reads all that the split has in any language.

    Returns:
        The rows in the data set's order, and templates if there are prompts.

    Raises:
        ValueError: an argument is malformed, the data set cannot be loaded or lacks a column, the
            language or a relation, or a row is malformed.
    """
    by_split = _LANGUAGE in split
    _check_arguments(dataset, revision, columns, by_split=by_split)
    source = f"{dataset}@{revision}"
    loaded = _loaded(dataset, revision, subset=subset, split=split.replace(_LANGUAGE, language))
    lacking = sorted(set(columns.values()) - set(loaded.column_names))
    if lacking:
        raise ValueError(
            f"{source}: expected the columns {shown(lacking)}, got {shown(loaded.column_names)}; "
            "correct facts.hub.columns"
        )
    rows = _rows(loaded, source, columns, {"language": language} if by_split else {})
    return collect(rows, source=source, language=language, relations=relations)


def _check_arguments(
    dataset: str, revision: str, columns: Mapping[str, str], *, by_split: bool
) -> None:
    if not _NAME.fullmatch(dataset):
        raise ValueError(f"facts.hub.dataset must be owner/name, got {shown(dataset)}; look it up")
    if not _REVISION.fullmatch(revision):
        raise ValueError(
            f"facts.hub.revision must be the 40 hexadecimal digits of a commit of {dataset}, got "
            f"{shown(revision)}; copy them from its history"
        )
    optional = (*LABELS, *OPTIONAL)
    required = [name for name in REQUIRED if name != "language" or not by_split]
    unknown = sorted(set(columns) - {*required, *optional})
    missing = [name for name in required if name not in columns]
    if unknown or missing:
        raise ValueError(
            f"facts.hub.columns of {dataset} must name columns for {', '.join(required)} and "
            f"may for {', '.join(optional)}; missing: {missing}, unknown: {shown(unknown)}"
        )


def _loaded(dataset: str, revision: str, *, subset: str | None, split: str) -> datasets.Dataset:
    try:
        where = _local_copy(dataset, revision) or dataset  # a folder has the one revision
        loaded = datasets.load_dataset(where, name=subset, revision=revision, split=split)
    except Exception as error:  # neither the loader nor what it calls documents its errors
        raise ValueError(
            f"{dataset}@{revision}: expected split {shown(split)} of subset {shown(subset)}, got "
            f"{type(error).__name__} {shown(str(error))}; check its name, parts and access"
        ) from error
    if not isinstance(loaded, datasets.Dataset):
        raise ValueError(
            f"{dataset}@{revision}: expected one split, got {type(loaded).__name__} for "
            f"{shown(split)}; name one"
        )
    return loaded


def _local_copy(dataset: str, revision: str) -> str | None:
    """Return where the hub's cache (`HF_HOME`) has the commit, offline; None if one may ask."""
    if not constants.HF_HUB_OFFLINE:
        return None
    try:
        found: str = snapshot_download(
            dataset, repo_type="dataset", revision=revision, local_files_only=True
        )
    except LocalEntryNotFoundError:  # `datasets` may have prepared it in a cache of its own
        return None
    return found


def _rows(
    loaded: datasets.Dataset, source: str, columns: Mapping[str, str], same: Mapping[str, str]
) -> Iterator[Row]:
    """Yield each row by our names; `same` has what is the same in all rows."""
    number = 0
    features = [loaded.features[theirs] for theirs in columns.values()]
    for batch in loaded.select_columns(sorted(set(columns.values()))).iter(batch_size=1000):
        for values in zip(*(batch[theirs] for theirs in columns.values()), strict=True):
            number += 1
            where = f"{source}, row {number}"
            texts = [
                _as_text(value, feature, theirs, where)
                for value, feature, theirs in zip(values, features, columns.values(), strict=True)
            ]
            yield where, {**dict(zip(columns, texts, strict=True)), **same}


def _as_text(value: object, feature: object, column: str, where: str) -> object:
    """Return a class's name, and a whole number as text; what else it is, the row's check says.

    Raises:
        ValueError: it is true or false, which names nothing.
    """
    if isinstance(value, bool):
        raise ValueError(
            f"{where}: expected text or a whole number in the column {column!r}, got {value}; name "
            "another column in facts.hub.columns"
        )
    if isinstance(feature, datasets.ClassLabel) and isinstance(value, int):
        return feature.int2str(value) if value >= 0 else None  # -1 stands for no class
    return str(value) if isinstance(value, int) else value
