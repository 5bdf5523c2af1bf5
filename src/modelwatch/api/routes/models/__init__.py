"""Routes of models: lists, monitors, events, comparison and deletion."""
