"""Stage `facts`: readers of fact sources, and what is kept of them."""
