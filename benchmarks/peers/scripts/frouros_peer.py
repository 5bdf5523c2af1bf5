"""Drift of two Parquet files with frouros, column by column. Prints the columns with p below 5 % as JSON."""

import json
import sys

import pandas as pd
from frouros.detectors.data_drift.batch import ChiSquareTest, KSTest

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
drifted = []
for name in reference.columns:
    numeric = pd.api.types.is_numeric_dtype(reference[name])
    detector = KSTest() if numeric else ChiSquareTest()
    detector.fit(X=reference[name].to_numpy())
    result, _ = detector.compare(X=current[name].to_numpy())
    if result.p_value < 0.05:
        drifted.append(name)
print(json.dumps(sorted(drifted)))
