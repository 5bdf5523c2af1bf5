"""Drift of two Parquet files with whylogs: a profile of each, then its scores. Prints the drifted columns as JSON."""

import json
import sys

import pandas as pd
import whylogs as why
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

views = []
for path in sys.argv[1:3]:
    frame = pd.read_parquet(path)
    views.append(why.log(frame).view())
    del frame
reference, current = views
scores = calculate_drift_scores(target_view=current, reference_view=reference, with_thresholds=True)
print(json.dumps(sorted(name for name, score in scores.items() if score and score["drift_category"] == "DRIFT")))
