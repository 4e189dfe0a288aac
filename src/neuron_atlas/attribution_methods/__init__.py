"""Stage `attribution_methods`: how well attribution methods agree with exact ablation."""
