"""Reading what was counted: sums of windows of predictions, outcomes, volumes and segments."""
