"""A run's sets and cards as a folder for others: for spreadsheets, programs, or a hub."""
