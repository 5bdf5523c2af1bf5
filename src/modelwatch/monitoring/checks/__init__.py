"""Checks: what they look at, the rules they judge by, and how a finding begins and ends."""
