"""Traffic and data sets that tests send or store."""
