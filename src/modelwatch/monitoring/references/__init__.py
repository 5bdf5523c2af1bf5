"""References: set by users, made of the first predictions, or taken from a window."""
