"""Names of an editing experiment's files, of its arms, and of the kinds of prompts it measures."""

from neuron_atlas.interventions.neuron_sets import RANDOM

EFFECTS, EDITS, SETS, META = "effects.parquet", "edits.parquet", "sets.parquet", "meta.json"
INDEPENDENT, MONOLINGUAL, JOINT, SEQUENTIAL = "independent", "monolingual", "joint", "sequential"
ARMS = (INDEPENDENT, MONOLINGUAL, JOINT, SEQUENTIAL, RANDOM)
WHERE = ("same_language", "paraphrase", "other_languages", "unrelated")
