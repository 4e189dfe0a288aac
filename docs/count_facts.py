"""Write the counts of the built-in facts into docs/facts.md: `python docs/count_facts.py`."""

import sys
from pathlib import Path

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.builtin_facts.choice import REFERENCE
from neuron_atlas.builtin_facts.relations import DEFAULT
from neuron_atlas.builtin_facts.world import RELATIONS
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.wording import templates

PAGE = Path(__file__).with_name("facts.md")
START, END = "<!-- counts -->\n", "<!-- end of counts -->\n"
ALL = Limits(max_per_relation=None, max_candidates=10**6, max_majority_share=1.0)


def counts() -> str:
    """Return a table of facts by relation and language, without any limit."""
    found = {
        code: builtin.build(code, sorted(RELATIONS), limits=ALL, development_share=0.2, seed=0)[1]
        for code in REFERENCE
    }
    paraphrases = {code: templates.load(code).templates for code in REFERENCE}
    header = ["relation", "default", *REFERENCE, "answers", "templates per language"]
    lines = [header, ["---", "---", *["--:"] * (len(REFERENCE) + 2)]]
    for name in sorted(RELATIONS):
        numbers = [str(found[code][name]["n_facts"]) for code in REFERENCE]
        texts = min(len(paraphrases[code][name]) for code in REFERENCE)
        answers = str(found["en"][name]["n_candidates"])
        default = "yes" if name in DEFAULT else ""
        lines.append([f"`{name}`", default, *numbers, answers, str(texts)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page(text: str) -> str:
    """Return the page with its table replaced by the present counts."""
    before, rest = text.split(START)
    return before + START + counts() + END + rest.split(END)[1]


if __name__ == "__main__":
    current = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page(current), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
