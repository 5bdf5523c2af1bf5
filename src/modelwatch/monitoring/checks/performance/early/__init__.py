"""Performance before the labels are complete: verdicts on half of them, estimates without any."""
