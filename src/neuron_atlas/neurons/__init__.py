"""Neurons, sets of them, and their matched random controls; no model is needed."""
