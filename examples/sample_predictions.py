"""Sends sample predictions of a fraud model to a running service, in batches.

    python examples/sample_predictions.py                       # 1,000 predictions to the service of this checkout
    python examples/sample_predictions.py --count 5000 --shift 1.5

Run examples/load_reference_data.py as well: it sets what the predictions are compared with. With --shift the amounts
are larger than there, and a drift check then says so.
"""

import argparse
import random
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from modelwatch.cli.address import normal_url, uses_proxy
from modelwatch.cli.base import CliError

MODEL = "fraud_detection_v2"
MERCHANTS = {"grocery": 0.5, "travel": 0.2, "electronics": 0.2, "fuel": 0.1}
BATCH_SIZE = 500
PATIENCE_SECONDS = 60


def make_prediction(shift: float) -> dict:
    """One prediction, as a model service would report it."""
    amount = round(random.gauss(100, 25) + 25 * shift, 2)
    merchant = random.choices(list(MERCHANTS), weights=list(MERCHANTS.values()))[0]
    probability = min(0.99, max(0.5, random.gauss(0.9, 0.05)))
    return {
        "model_name": MODEL,
        "model_version": "2.1.0",
        "environment": "production",
        # The id and the time are made here, once: when a request is sent again, nothing counts twice.
        "prediction_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "features": [
            {"name": "transaction_amount", "value": amount, "data_type": "continuous"},
            {"name": "merchant_category", "value": merchant, "data_type": "categorical"},
        ],
        "prediction": "fraud" if amount > 165 else "legitimate",
        "prediction_probability": round(probability, 4),
        "latency_ms": round(random.uniform(20, 60), 1),
    }


def send(client: httpx.Client, batch: list[dict]) -> dict:
    """Sends a batch until the service has it. Returns its answer: accepted, duplicates, rejected."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        wait = 1.0
        try:
            response = client.post("/api/v1/predictions/batch", json=batch)
            # 503: the service is busy or starting. It says how long to wait.
            if response.status_code != 503:
                response.raise_for_status()
                return response.json()
            wait = float(response.headers.get("retry-after", "1"))
            problem = "the service is busy"
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
        if time.monotonic() + wait > deadline:
            raise SystemExit(f"Can't send to {client.base_url}: {problem}. Start the service with: python -m src.main")
        time.sleep(wait)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sends sample predictions to a running service.")
    parser.add_argument("--url", default="", help="address of the service; else MODELWATCH_URL, else by HOST and PORT")
    parser.add_argument("--count", type=int, default=1_000, help="how many predictions")
    parser.add_argument("--shift", type=float, default=0.0, help="standard deviations that amounts are larger by")
    options = parser.parse_args()
    try:
        url = normal_url(options.url)
    except CliError as wrong:
        raise SystemExit(wrong.message) from None

    accepted = 0
    with httpx.Client(base_url=url, timeout=30, trust_env=uses_proxy(url)) as client:
        try:
            client.get("/livez")
        except httpx.TransportError:
            raise SystemExit(f"No service at {url}. Start it with: python -m src.main") from None
        while accepted < options.count:
            size = min(BATCH_SIZE, options.count - accepted)
            answer = send(client, [make_prediction(options.shift) for _ in range(size)])
            if answer["rejected"]:
                raise SystemExit(f"The service rejected predictions: {answer['rejected'][0]}")
            accepted += size
            print(f"{accepted} of {options.count} predictions sent")
    print(f"See what was received: {url}/api/v1/models/{MODEL}")


if __name__ == "__main__":
    main()
