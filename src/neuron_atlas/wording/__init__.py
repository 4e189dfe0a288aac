"""Prompt templates, and how subject and answer are put into them."""
