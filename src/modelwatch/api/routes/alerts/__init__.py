"""Routes of alerts, silences and channels."""
