"""Predictions as they are stored: rows, blocks of features, and both read back."""
