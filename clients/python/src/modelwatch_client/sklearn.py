"""A wrapper of scikit-learn's estimators that logs what they predict."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

from modelwatch_client.client import Client
from modelwatch_client.frames import columns_of
from modelwatch_client.rows import NAMED_COLUMNS


def watch(estimator: Any, client: Client) -> WatchedEstimator:
    """The estimator, whose `predict` and `predict_proba` are logged. Everything else is the estimator's own.

    Raises TypeError for an object without `predict`.
    """
    if not callable(getattr(estimator, "predict", None)):
        raise TypeError(f"a {type(estimator).__name__} has no predict()")
    return WatchedEstimator(estimator, client)


class WatchedEstimator:
    """An estimator with a client.

    `predict` logs the predictions, `predict_proba` the most probable class with the probability of each class. Calling
    both for the same rows logs them twice: use one of them to serve.
    """

    def __init__(self, estimator: Any, client: Client) -> None:
        self._estimator = estimator
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._estimator, name)

    def predict(self, X: Any, **options: Any) -> Any:  # noqa: N803 (scikit-learn's name)
        """The estimator's predictions, which are logged."""
        began = time.perf_counter()
        predicted = self._estimator.predict(X, **options)
        self._log(X, began, lambda: {"prediction": list(predicted)})
        return predicted

    def predict_proba(self, X: Any, **options: Any) -> Any:  # noqa: N803
        """The estimator's probabilities; the most probable class is logged as the prediction, with all of them."""
        began = time.perf_counter()
        probabilities = self._estimator.predict_proba(X, **options)

        def columns() -> Dict[str, List[Any]]:
            classes = [_plain(each) for each in self._estimator.classes_]
            rows = [[float(share) for share in row] for row in probabilities]
            best = [max(range(len(classes)), key=row.__getitem__) for row in rows]
            return {
                "prediction": [classes[place] for place in best],
                "prediction_probability": [dict(zip(classes, row)) for row in rows],
            }

        self._log(X, began, columns)
        return probabilities

    def _log(self, X: Any, began: float, columns: Callable[[], Dict[str, List[Any]]]) -> None:  # noqa: N803
        try:
            latency_ms = (time.perf_counter() - began) * 1000
            features = self._features(X)
            given = columns()
            count = len(given["prediction"])
            given["latency_ms"] = [latency_ms / max(1, count)] * count
            self._client._log_rows({**features, **given}, NAMED_COLUMNS, list(features), 0.0)
        except Exception as problem:  # noqa: BLE001
            self._client._failed(problem)

    def _features(self, X: Any) -> Dict[str, List[Any]]:  # noqa: N803
        if hasattr(X, "columns"):
            return columns_of(X)
        dense = X.toarray() if hasattr(X, "toarray") else X
        names = getattr(self._estimator, "feature_names_in_", None)
        rows = [list(row) for row in dense]
        width = len(rows[0]) if rows else 0
        known = [str(name) for name in names] if names is not None else [f"feature_{place}" for place in range(width)]
        return {name: [row[place] for row in rows] for place, name in enumerate(known)}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
