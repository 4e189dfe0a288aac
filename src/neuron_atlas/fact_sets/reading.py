"""What a tokenizer makes of labels: whether they are asked as their own text."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from neuron_atlas.facts.labels import cleaned

UNKNOWN = ("[UNK]", "<unk>", "<UNK>", "<|unk|>", "<unk_token>")


@dataclass(frozen=True)
class Reading:
    """A tokenizer, asked about labels; without one, nothing is known and nothing refused."""

    tokenizer: Tokenizer | None = None
    _known: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _unknown(self) -> set[int]:
        if self.tokenizer is None:
            return set()
        named = getattr(self.tokenizer.model, "unk_token", None) or UNKNOWN[0]
        ids = (self.tokenizer.token_to_id(word) for word in (*UNKNOWN, str(named)))
        return {i for i in ids if i is not None}

    def ids(self, text: str, gap: str = " ") -> tuple[int, ...]:
        """Return a label's tokens behind a gap; without a tokenizer none."""
        if self.tokenizer is None:
            return ()
        if (found := self._known.get(gap + text)) is None:
            found = tuple(self.tokenizer.encode(gap + text, add_special_tokens=False).ids)
            self._known[gap + text] = found
        return found

    def n_tokens(self, text: str) -> int:
        """Return the number of a label's tokens: the fewer of with and without a space."""
        return min(len(self.ids(text, gap)) for gap in ("", " "))

    def has_unknown(self, text: str) -> bool:
        """Say whether a part of a label is a token that stands for anything, or there is none."""
        ids = self.ids(text)
        return self.tokenizer is not None and (not ids or not self._unknown.isdisjoint(ids))

    def alters(self, text: str) -> bool:
        """Say whether a label's tokens decode to another text, spaces apart, as in lower case."""
        if self.tokenizer is None:
            return False
        decoded = self.tokenizer.decode(list(self.ids(text)), skip_special_tokens=False)
        return _bare(decoded) != _bare(text)


def _bare(text: str) -> str:
    return "".join(cleaned(text).split())


def of_model(folder: Path, *, required: bool) -> Reading:
    """Return the reading of a model in a folder.

    Raises:
        ValueError: it is `required`, and the folder has no tokenizer.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        return Reading(Tokenizer.from_file(str(path)))
    if required:
        raise ValueError(f"{path} does not exist; run `dvc repro model` or `dvc pull model` first")
    return Reading()
