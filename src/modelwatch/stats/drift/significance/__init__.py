"""Tests that decide about drift: all cells, single cells, unseen names, and one p-value of all that suit a subject."""
