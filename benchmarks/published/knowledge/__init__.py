"""Dai et al. 2022 and Chen et al. 2024 as published, and what each control changes."""
