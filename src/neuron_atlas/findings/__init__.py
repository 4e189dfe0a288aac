"""Stages `consistency` and `effects`: estimates, tests and verdicts on relation neurons."""
