"""Whether the data that a model gets are sound: missing and wrong values, the schema, repeats, volume."""
