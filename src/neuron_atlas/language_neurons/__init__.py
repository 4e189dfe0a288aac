"""Stage `language_neurons`: neurons that carry a fact in several languages."""
