"""Stores of tests, what is written into them, and what they must hold."""
