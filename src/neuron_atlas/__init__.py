"""Find and test the MLP neurons in which a language model keeps facts."""
