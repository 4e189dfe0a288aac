"""Who works on the parts of long work: this process, or the workers of a Ray cluster."""
