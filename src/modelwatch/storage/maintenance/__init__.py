"""Work in the background: folding, rolling up, expiry, counting again, erasing, deleting."""
