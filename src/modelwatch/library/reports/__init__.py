"""Report of a comparison, and the one on a model of a service: in words, as data, and as one HTML file."""
