"""Runs side by side: whose numbers a commit holds, and what changed between several."""
