"""How a run of DVC starts its stages: from one warm process, and with a line of progress."""
