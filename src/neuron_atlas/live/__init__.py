"""What a model answers while a person waits: one prompt, as it is and with neurons changed."""
