"""Keys: what values are encrypted with, and the hashes of API keys."""
