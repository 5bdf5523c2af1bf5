"""Checks: their inputs, their rules, and how a finding begins and ends."""
