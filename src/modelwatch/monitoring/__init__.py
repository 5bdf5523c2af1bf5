"""What the counts mean: references, windows, drift checks, verdicts, and the evaluations that keep them current."""
