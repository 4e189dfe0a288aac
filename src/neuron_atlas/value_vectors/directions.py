"""The two ends of a list of tokens, and what stands in place of a script; light to import."""

PROMOTED, SUPPRESSED = "promoted", "suppressed"
ALL_SCRIPTS = "all"  # tokens of any script
NO_SCRIPT = "none"  # special tokens, and tokens without a letter
