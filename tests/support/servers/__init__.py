"""Servers that tests talk to: the service itself, programs of others, and doubles of receivers."""
