"""Predictions whose truth is known: classes, tasks, delays of labels, and estimates without labels."""
