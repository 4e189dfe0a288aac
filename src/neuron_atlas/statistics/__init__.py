"""Estimates and tests that know nothing of language models."""
