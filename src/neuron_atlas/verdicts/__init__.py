"""What a claim's words mean, and the judgements of the claims about relation neurons."""
