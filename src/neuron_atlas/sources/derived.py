"""Templates of sources that bring whole prompts: the prompt with its subject taken out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from neuron_atlas.facts import spacing
from neuron_atlas.facts.labels import cleaned
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.wording.blanks import literal_blank

LEAST_SHARE = 0.05  # of a relation's prompts; a rarer template is one fact's own wording
MOST_LETTERS = 64  # of a relation's name


def template_of(prompt: str, subject: str) -> str | None:
    """Return a prompt as a template; None if it does not name its subject exactly once.

    A blank (`<mask>`, `____`) becomes `{object}`; without one the object follows the prompt.
    """
    text, name = cleaned(prompt), cleaned(subject)
    if not name or text.count(name) != 1 or set(text) & set("{}"):
        return None
    before, after = text.split(name)
    text = f"{before}\0{after}"  # what a blank is told by must not see the placeholder's braces
    blank = literal_blank(text)
    if blank is not None:
        text = text.replace(blank, OBJECT, 1)
    return (text if blank is not None else text + spacing.join(text, " ") + OBJECT).replace(
        "\0", SUBJECT
    )


def most_frequent(
    templates: Iterable[tuple[str, str | None]],
) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return each relation's templates, the most frequent first, and how many prompts had none.

    Args:
        templates: A relation and a template, of each prompt in turn.
    """
    counts = defaultdict[str, Counter[str]](Counter)
    n_without = 0
    for relation, text in templates:
        n_without += text is None
        if text is not None:
            counts[relation][text] += 1
    kept = {
        relation: tuple(text for text, n in found.most_common() if n >= LEAST_SHARE * found.total())
        for relation, found in counts.items()
    }
    return kept, n_without


def relation_of(template: str) -> str:
    """Return a name for the relation of a template: its words, as in `was_born_in`.

    `inverse_` stands before it where the object comes first. A template without Latin words is
    named by its digest.
    """
    text = template.replace(SUBJECT, " ").replace(OBJECT, " ")
    words = re.findall(r"[A-Za-z0-9]+", text)
    if not words:
        words = ["prompt", blake2b(text.encode(), digest_size=4).hexdigest()]
    if template.find(OBJECT) < template.find(SUBJECT):
        words = ["inverse", *words]
    return "_".join(words)[:MOST_LETTERS].rstrip("_").lower()
