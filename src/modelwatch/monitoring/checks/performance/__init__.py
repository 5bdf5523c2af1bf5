"""Performance check: labelled counts judged against the reference, with intervals and coverage."""
