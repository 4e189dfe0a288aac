"""What every stage script needs: parameters, files, its command line, checkpoints of long work."""
