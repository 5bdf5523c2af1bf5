"""What the counts mean: references, windows, checks, verdicts, and the evaluations that keep them current."""
