"""The verdicts of evaluations, and up to when streams were evaluated."""
