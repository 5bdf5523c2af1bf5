"""The HTTP interface: decoding, routes, problems and documents."""
