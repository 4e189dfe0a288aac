"""Stages `check` and `check_model`: refuse what does not fit before anything slow begins.

Nothing here imports torch, transformers or pandas: a wrong value is refused in seconds.
"""
