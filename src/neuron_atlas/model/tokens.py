"""How a model reads text: the tokens of prompts and of answers that continue them."""

from collections.abc import Sequence
from typing import NamedTuple

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.slots import OBJECT

Text = tuple[int, ...]


class Prompt(NamedTuple):
    """Token ids on either side of the answer; `after` is empty in a decoder."""

    before: Text
    after: Text


class Tokenised(NamedTuple):
    """A prompt's tokens on either side of the answer, and where they stand in its text.

    Attributes:
        ids: Token ids before and after the answer.
        spans: The characters of each token, half-open; empty ones for special tokens.
    """

    ids: Prompt
    spans: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]


def encode(lm: LanguageModel, prompt: str) -> Prompt:
    """Return a prompt's token ids, with the special tokens that the model expects around it.

    A decoder's answer follows the last token of `before`; an encoder's answer is masks between
    `before` and `after`, which ends with the closing special tokens.
    """
    return tokenise(lm, prompt).ids


def tokenise(lm: LanguageModel, prompt: str) -> Tokenised:
    """Tokenise a prompt; in an encoder's, `{object}` may mark the answer in the middle of the text.

    The one place that tells decoders from encoders.

    Raises:
        ValueError: a decoder's prompt has text after the answer.
    """
    text, slot, rest = prompt.partition(OBJECT)
    encoding = lm.tokenizer.encode(text)
    ids, special, spans = encoding.ids, encoding.special_tokens_mask, encoding.offsets
    spans = [(0, 0) if s else span for s, span in zip(special, spans, strict=True)]
    if not lm.architecture.encoder:
        if slot:
            raise ValueError(f"a decoder's answer must come last, got the prompt {prompt!r}")
        return Tokenised(Prompt(tuple(ids), ()), (tuple(spans), ()))
    end = _closing(lm, special)
    behind = lm.tokenizer.encode(rest, add_special_tokens=False)
    skipped = len(text) + len(slot)
    after = [(a + skipped, b + skipped) for a, b in behind.offsets]
    return Tokenised(
        Prompt(tuple(ids[:end]), (*behind.ids, *ids[end:])),
        (tuple(spans[:end]), (*after, *spans[end:])),
    )


def _closing(lm: LanguageModel, special: Sequence[int]) -> int:
    """Return where the closing special tokens begin."""
    inner = [i for i, s in enumerate(special) if not s]
    if inner:
        return inner[-1] + 1
    around = lm.tokenizer.encode("a").special_tokens_mask
    return around.index(0)


def continuation(lm: LanguageModel, prompt: str, text: str) -> Text:
    """Return the ids with which `text` continues `prompt`: true case, leading space included.

    The two are tokenised together, so that a space at the seam goes where the tokenizer puts it;
    where a token straddles the seam, `text` is tokenised alone. Only the end of the prompt can
    matter, which keeps the call cheap. Text after an answer inside the prompt is ignored.

    Raises:
        ValueError: `text` has no tokens.
    """
    tail = prompt.partition(OBJECT)[0][-12:]
    before = lm.tokenizer.encode(tail, add_special_tokens=False).ids
    both = lm.tokenizer.encode(tail + text, add_special_tokens=False).ids
    joined = both[: len(before)] == before
    alone = lm.tokenizer.encode(text, add_special_tokens=False)
    ids: list[int] = both[len(before) :] if joined else alone.ids
    if not ids:
        raise ValueError(f"the answer {text!r} to the prompt {prompt!r} has no tokens")
    return tuple(ids)
