"""The way of predictions and labels into the store, each counted exactly once."""
