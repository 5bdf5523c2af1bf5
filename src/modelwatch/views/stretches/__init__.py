"""Stretches of a stream: their steps, look-backs and segments, and their predictions with labels."""
