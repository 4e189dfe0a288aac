"""Stage `facts`: read a source's facts, and keep those that can be asked."""
