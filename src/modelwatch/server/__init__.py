"""One process that serves: the parts put together, how it listens, what it may use, and how it starts and ends."""
