"""Log-probabilities of answers, many of them in one pass."""
