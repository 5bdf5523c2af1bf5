"""Pages of drift: all subjects of a model, and one of them."""
