"""What neurons write, as the model's own head reads it: tokens, scripts, and answers."""
