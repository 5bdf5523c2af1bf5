"""Whether a model is still right: labelled counts judged against the reference, with intervals and coverage."""
