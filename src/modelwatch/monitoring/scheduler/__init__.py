"""Scheduler: the evaluations, the process that makes them, and the maintenance beside them."""
