"""How well every neuron tells one relation's prompts from others': scores, nulls and a rival."""
