"""Whether two samples differ, by how much, and whether that is more than chance and habit explain."""
