"""Processor time of merging profiles with whylogs, one into the next. Prints the seconds as JSON.

Arguments: merges, features, rows of a profile, profiles that are made. As many as are merged would take minutes to make
and gigabytes, so the same come again: what they hold does not make merging them faster.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
import whylogs as why

merges, features, rows, made = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
names = [f"x{place}" for place in range(features)]
views = [why.log(pd.DataFrame(rng.normal(size=(rows, features)), columns=names)).view() for _ in range(made)]
began = time.process_time()
merged = views[0]
for place in range(1, merges):
    merged = merged.merge(views[place % made])
taken = time.process_time() - began
counted = merged.get_column("x0").to_summary_dict()["counts/n"]
assert counted == merges * rows, counted
print(json.dumps(taken))
