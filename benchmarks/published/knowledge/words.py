"""What the figures are called on the page, and the papers' own numbers."""

from published.knowledge.arms import HELD_OUT, OTHER, PUSH, SIBLING, SIZE, UNRELATED
from published.knowledge.sets import AMIG, DAI, OURS, SHARED, ZERO

METHODS = {
    DAI: "Dai et al.",
    ZERO: "zero baseline, one prompt",
    AMIG: "Chen et al. (AMIG)",
    OURS: "ours",
    SHARED: "shared by both languages",
}
CONTROLS = {
    "alone": "none",
    UNRELATED: "the same set on an unrelated fact",
    SIZE: "random neurons, alike in layer and size",
    PUSH: "random neurons, alike in layer and push, equal push",
    OTHER: "sets of facts of other relations, equal push",
    SIBLING: "sets of other facts of the relation, equal push",
    HELD_OUT: "random neurons of equal push, on the held-out paraphrase",
}
SHARES = {
    "alone": "nothing",
    "random": "random sets, alike in layer and size",
    "other": "facts of other relations",
    "sibling": "other facts of the relation",
    "different_answer": "facts of other relations, answers spelt differently",
}
PAIRS = {
    "alone": "nothing",
    SIZE: "random neurons, alike in layer and size",
    PUSH: "random neurons, alike in layer and push",
    OTHER: "the strongest neurons of other relations' facts",
    HELD_OUT: "the same, found on the held-out paraphrase too",
    "log_odds": "the same, more than additive in log-odds",
    "opposite": "the same, less the pairs of opposite sign",
}
CHECKS = {
    "alone": "chance",
    "random": "random neurons, alike in layer and size",
    "knowledge": "all knowledge neurons",
    "claim_probability": "P(claim)",
    "candidate_log_odds": "log-odds among candidates",
}
DETECTORS = {
    "degenerate": "degenerate neurons",
    "knowledge": "all knowledge neurons",
    "random": "random neurons",
    "claim_probability": "P(claim)",
    "candidate_log_odds": "log-odds among candidates",
    "always_true": "always true",
}
EDITS = {
    "shared": "shared neurons",
    "mono": "the other language's",
    "sequential": "sequential",
    "joint": "both at once",
}
PAPER_SUCCESS = {  # Table 1: multilingual BERT, mGPT
    ("en", ZERO): "3.94, 5.21",
    ("en", AMIG): "4.04, 5.60",
    ("zh", ZERO): "5.58, 5.44",
    ("zh", AMIG): "10.29, 7.86",
}
PAPER_EDITS = {  # Table 2: multilingual BERT, mGPT
    ("en", "shared"): "2.36, 2.54",
    ("en", "mono"): "2.14, 2.40",
    ("en", "sequential"): "3.80, 4.29",
    ("zh", "shared"): "7.18, 8.87",
    ("zh", "mono"): "2.29, 2.35",
    ("zh", "sequential"): "4.09, 3.65",
}
