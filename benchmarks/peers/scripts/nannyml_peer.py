"""Drift of two Parquet files with NannyML. Prints the columns that it calls drifted in any chunk, as JSON."""

import json
import sys

import nannyml as nml
import pandas as pd

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
names = list(reference.columns)
found = nml.UnivariateDriftCalculator(column_names=names).fit(reference).calculate(current)
frame = found.filter(period="analysis").to_df()
alerts = frame.loc[:, [column for column in frame.columns if column[-1] == "alert"]].any()
print(json.dumps(sorted({column[0] for column, alert in alerts.items() if alert})))
