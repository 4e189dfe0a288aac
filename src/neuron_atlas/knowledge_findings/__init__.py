"""Stage `knowledge`: estimates, tests and verdicts on knowledge neurons."""
