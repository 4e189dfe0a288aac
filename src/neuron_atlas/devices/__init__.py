"""Devices: where a model's parts run, and what happens where memory does not suffice."""
