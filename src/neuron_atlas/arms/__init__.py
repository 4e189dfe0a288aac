"""Sets of neurons and controls that push as hard, and what they do to the answers of prompts."""
