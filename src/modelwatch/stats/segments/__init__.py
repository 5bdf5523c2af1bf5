"""Segments of the traffic, and how far each explains a change of the whole."""
