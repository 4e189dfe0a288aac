"""Stages `interference`, `transfer` and `selection`: switch off, suppress and enhance neurons."""
