"""Stages `consistency`, `effects` and `knowledge`: estimates, tests and verdicts."""
