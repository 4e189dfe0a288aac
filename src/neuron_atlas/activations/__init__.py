"""Stage `activations`: neuron values at the answer, on disk."""
