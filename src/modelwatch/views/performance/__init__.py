"""Views of performance: a stretch of labelled predictions, what was judged, and the labels that came."""
