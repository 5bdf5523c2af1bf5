"""The way of predictions and labels from the request to their acknowledgement."""
