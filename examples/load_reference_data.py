"""Sets what the predictions of examples/sample_predictions.py are compared with, and then checks for drift.

    python examples/load_reference_data.py                      # to the service of this checkout

Shows both ways to set a reference: one feature as JSON, and a whole frame (features, predictions, scores) as Parquet.
"""

import argparse
import io
import sys
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from modelwatch.cli.address import normal_url, uses_proxy
from modelwatch.cli.base import CliError

MODEL = "fraud_detection_v2"
SIZE = 10_000
MERCHANTS = ["grocery", "travel", "electronics", "fuel"]
SHARES = [0.5, 0.2, 0.2, 0.1]


def set_one_feature(client: httpx.Client, rng: np.random.Generator) -> None:
    """One feature as JSON: the simplest way."""
    response = client.post(
        "/api/v1/reference",
        json={
            "model_name": MODEL,
            "feature_name": "transaction_amount",
            "data_type": "continuous",
            "values": rng.normal(100, 25, SIZE).tolist(),
        },
    )
    response.raise_for_status()
    print("Set from JSON: transaction_amount")


def set_frame(client: httpx.Client, rng: np.random.Generator) -> None:
    """A whole frame, such as the model's validation data: one column for each feature, and what the model said.

    A feature that was set before gets the new reference; the old one is kept as retired.
    """
    amount = rng.normal(100, 25, SIZE).round(2)
    table = pa.table(
        {
            "transaction_amount": amount,
            "merchant_category": rng.choice(MERCHANTS, SIZE, p=SHARES),
            # Columns of these names are not features: they are the references of the model's own output.
            "prediction": np.where(amount > 165, "fraud", "legitimate"),
            "prediction_probability": rng.normal(0.9, 0.05, SIZE).clip(0.5, 0.99).round(4),
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body)
    response = client.post(
        "/api/v1/reference",
        params={"model_name": MODEL},
        content=body.getvalue(),
        headers={"content-type": "application/vnd.apache.parquet"},
    )
    response.raise_for_status()
    names = [reference["feature_name"] for reference in response.json()["references"]]
    print(f"Set from Parquet: {', '.join(names)}")


def check_drift(client: httpx.Client) -> None:
    """Asks for a verdict on what was received so far."""
    response = client.post("/api/v1/drift/check", json={"model_name": MODEL, "min_samples": 100})
    response.raise_for_status()
    for result in response.json()["drift_results"]:
        psi = f"PSI {result['psi']['score']:.3f}" if result["psi"] else "no PSI yet"
        print(f"  {result['feature_name']}: {result['severity']} ({psi}). {result['reason'] or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Sets the reference of the sample model.")
    parser.add_argument("--url", default="", help="address of the service; else MODELWATCH_URL, else by HOST and PORT")
    options = parser.parse_args()
    try:
        url = normal_url(options.url)
    except CliError as wrong:
        raise SystemExit(wrong.message) from None

    rng = np.random.default_rng()
    with httpx.Client(base_url=url, timeout=60, trust_env=uses_proxy(url)) as client:
        try:
            set_one_feature(client, rng)
            set_frame(client, rng)
            print("Drift check:")
            check_drift(client)
        except httpx.TransportError:
            raise SystemExit(f"No service at {url}. Start it with: python -m src.main") from None


if __name__ == "__main__":
    main()
