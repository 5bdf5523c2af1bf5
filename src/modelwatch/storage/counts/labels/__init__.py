"""Labels read prediction by prediction: pairs in the order of their arrival, counts as of a moment, values."""
