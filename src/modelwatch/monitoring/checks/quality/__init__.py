"""Quality check: missing and wrong values, the schema, duplicates, volume."""
