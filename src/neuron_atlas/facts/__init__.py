"""The fact table that the stages share, and the split of its subjects."""
