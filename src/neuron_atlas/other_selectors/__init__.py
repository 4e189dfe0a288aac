"""Stage `other_selectors`: other ways to select a relation's neurons, put to the same ablation."""
