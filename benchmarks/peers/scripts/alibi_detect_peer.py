"""Drift of two Parquet files with alibi-detect's test for tables. Prints the drifted columns as JSON."""

import json
import sys

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
names = list(reference.columns)
categories = {}
for place, name in enumerate(names):
    if not pd.api.types.is_numeric_dtype(reference[name]):
        known = pd.Index(reference[name].unique()).union(current[name].unique())
        categories[place] = list(range(len(known)))
        for frame in (reference, current):
            frame[name] = known.get_indexer(frame[name])
sides = [frame.to_numpy(dtype=np.float64) for frame in (reference, current)]
del reference, current
detector = TabularDrift(sides[0], p_val=0.05, categories_per_feature=categories, preprocess_at_init=False)
found = detector.predict(sides[1], drift_type="feature")
print(json.dumps(sorted(name for name, drifted in zip(names, found["data"]["is_drift"], strict=True) if drifted)))
