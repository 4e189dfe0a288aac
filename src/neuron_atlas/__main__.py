"""`python -m neuron_atlas`: the command line, where the script `neuron-atlas` is not installed."""

from neuron_atlas.commands.app import app

if __name__ == "__main__":
    app(prog_name="neuron-atlas")
