"""Cells: binnings of numeric and categorical values, and profiles, the counts of a sample over them."""
