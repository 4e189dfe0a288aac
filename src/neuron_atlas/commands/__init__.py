"""The command line `neuron-atlas`: one module per command, which reads outputs and prints."""
