"""Names of an editing experiment's files, of its arms, and of the kinds of prompts it measures."""

from neuron_atlas.interventions.neuron_sets import RANDOM

EFFECTS, EDITS, SETS, META = "effects.parquet", "edits.parquet", "sets.parquet", "meta.json"
LAYERS = "layers.parquet"  # what each tried layer does on the development facts

INDEPENDENT, JOINT, SEQUENTIAL = "independent", "joint", "sequential"
MONOLINGUAL_NEURONS = "monolingual_neurons"  # neurons of the first source, fitted in all sources
MONOLINGUAL = "monolingual"  # neurons of the first source, fitted in the first source alone
LANGUAGE_SPECIFIC = "language_specific"  # neurons of the first source, of no fact in particular
FT_L, ROME = "ft_l", "rome"
BASELINES = (FT_L, ROME)
ARMS = (
    *(INDEPENDENT, MONOLINGUAL_NEURONS, MONOLINGUAL, JOINT, SEQUENTIAL),
    *(LANGUAGE_SPECIFIC, RANDOM, *BASELINES),
)
IN_FULL = (INDEPENDENT, MONOLINGUAL_NEURONS, MONOLINGUAL, *BASELINES)  # asked every prompt

# Where edits are measured, by the field's names (Yao et al. 2023, arXiv 2305.13172, section 2; Wang
# et al. 2024, arXiv 2310.16218): of the fact in the first source its fitted paraphrases, the held
# one and the testing ones; the fact in the other sources; the held paraphrase in each language that
# is no source, and all others there; another fact of the relation; facts of other relations; and
# text about those.
RELIABILITY, GENERALITY, MORE_PARAPHRASES = "reliability", "generality", "more_paraphrases"
OTHER_SOURCES, PORTABILITY, PORTABILITY_MORE = "other_sources", "portability", "portability_more"
NEIGHBOUR, LOCALITY, TEXT = "neighbour", "locality", "text"
OF_THE_FACT = (
    *(RELIABILITY, GENERALITY, MORE_PARAPHRASES),
    *(OTHER_SOURCES, PORTABILITY, PORTABILITY_MORE),
)
OF_OTHERS = (NEIGHBOUR, LOCALITY)
WHERE = (*OF_THE_FACT, *OF_OTHERS, TEXT)
IN_ALL_ARMS = (RELIABILITY, GENERALITY, PORTABILITY, LOCALITY)
