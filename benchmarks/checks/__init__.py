"""Benchmarks of the evaluation: counting, tests and scores, whole evaluations, a history that is caught up with."""
