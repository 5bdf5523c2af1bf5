"""Routes of data: predictions and labels, references, and the erasure of one prediction."""
