"""Stage `degenerate_neurons`: neurons that stand in for one another; fact checking with them."""
