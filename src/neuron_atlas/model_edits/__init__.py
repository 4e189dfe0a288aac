"""Edits of value vectors and of whole down-projections: how they are fitted, applied and undone."""
