"""Delivery: takes the rows of the outbox to the channels, with retries, and the actions of people on deliveries."""
