"""Other papers' protocols as published, run on a model of ours, and what each control changes."""
