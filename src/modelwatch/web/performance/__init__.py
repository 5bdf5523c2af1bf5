"""Pages of performance: metrics of a model, and its segments."""
