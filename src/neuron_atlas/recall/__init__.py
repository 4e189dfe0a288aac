"""Stage `recall`: what the model knows, and which prompts later stages use."""
