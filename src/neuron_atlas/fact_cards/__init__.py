"""What is kept of a source of facts, before a run and after it, for people and for JSON."""
