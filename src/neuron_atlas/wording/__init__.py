"""Templates of prompts, and how subject and answer are put into them."""
