"""Views of data quality: rates over time, what was judged, and the volume."""
