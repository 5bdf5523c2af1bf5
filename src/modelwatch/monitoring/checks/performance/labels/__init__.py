"""Labels of the performance check: whether they came, whether they shifted, and what they mean."""
