"""Stage `cards`: what is known of each neuron that is in a set, and what it and its set write."""
