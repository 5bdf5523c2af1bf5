"""Pages of models: the list, the overview of one, two sides beside each other, and the monitor."""
