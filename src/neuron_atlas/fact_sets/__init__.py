"""Stage `facts`: from labelled triples to the facts that can be asked, and what was left out."""
