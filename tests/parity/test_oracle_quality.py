"""Missing and unseen values of the open car-loan data with gaps, window by window, as NannyML counts them."""

from __future__ import annotations

import json

import pytest

from modelwatch.events import ReferenceSample
from modelwatch.monitoring.references.references import profile_of
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.rates import unsound_counts
from tests.support.data.data_sets import DataSets, read_part


def test_shares_of_missing_and_of_unseen_values_are_those_of_nannyml(shared_data: DataSets) -> None:
    folder = shared_data / "carloan_dq_nannyml"
    meta = json.loads((folder / "meta.json").read_text())
    peer = json.loads((shared_data / "carloan_nannyml" / "oracle_peer_nannyml.json").read_text())
    reference, production = (read_part(folder, part) for part in ("reference", "production"))
    compared = 0
    for column in (*meta["numeric_features"], *meta["categorical_features"]):
        kind = "categorical" if column in meta["categorical_features"] else "continuous"
        frozen = profile_of(ReferenceSample("feature", column, kind, reference[column].to_pylist()))
        for missing, unseen in zip(peer["dq_missing"], peer["dq_unseen"], strict=True):
            first, last = unseen["chunk.start_index"], unseen["chunk.end_index"]
            values = production[column].slice(first, last - first + 1).to_pylist()
            counts = unsound_counts(Profile.of(frozen.binning, values))
            for rule, oracle in (("missing", missing), ("unseen_category", unseen)):
                if f"{column}.value" in oracle and rule in counts:
                    count, total = counts[rule]  # type: ignore[index]
                    assert count / total == pytest.approx(oracle[f"{column}.value"], abs=1e-9), (column, rule, first)
                    compared += 1
    assert compared == 70
