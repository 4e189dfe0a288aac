"""What a run will cost, from a model's configuration and counts alone: for `neuron-atlas plan`."""
