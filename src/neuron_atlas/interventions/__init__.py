"""Stages `interference`, `transfer` and `selection`: neurons switched off, suppressed, enhanced."""
