"""Drift of two Parquet files with evidently's preset. Prints the columns that it calls drifted, as JSON."""

import json
import sys

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
result = Report([DataDriftPreset()]).run(current, reference).dict()
drifted = []
for metric in result["metrics"]:
    config = metric.get("config", {})
    if "column" not in config or "threshold" not in config:
        continue
    value, threshold = float(metric["value"]), float(config["threshold"])
    by_p_value = "p_value" in str(config.get("method", "")) or "p_value" in str(metric.get("metric_name", ""))
    if value < threshold if by_p_value else value >= threshold:
        drifted.append(config["column"])
print(json.dumps(sorted(drifted)))
