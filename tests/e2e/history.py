"""Thirty days of what two replicas would have been scraped for, made from one real scrape of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers.prometheus import promtool

DAYS = 30
EVERY_SECONDS = 3_600
SAMPLES = DAYS * 86_400 // EVERY_SECONDS
DAY = 86_400 // EVERY_SECONDS
GROWING = {"counter", "histogram", "summary"}
# Of state: on which days it was there. An alert that fired and ended, and one that fires now.
FIRED = (range(10 * DAY, 12 * DAY), range(28 * DAY, SAMPLES))
WHILE_FIRING = {"ml_finding_severity", "ml_finding_score", "ml_alert_state"}
# The version's first predictions came then, and the first replica could not reach its store for some hours.
DEPLOYED = 5 * DAY
STORE_LOST = range(20 * DAY, 20 * DAY + 4)


def backfilled(folder: Path, scrapes: Mapping[str, str], end: int) -> Path:
    """A folder of blocks for Prometheus. scrapes: the text of /metrics by instance. end: seconds, the last sample's."""
    text, blocks = folder / "history.om", folder / "data"
    with text.open("w") as file:
        for number, (instance, scraped) in enumerate(scrapes.items()):
            file.writelines(_lines(scraped, instance, end, first=number == 0))
        file.write("# EOF\n")
    options = ("--quiet", f"--max-block-duration={24 * DAYS}h")
    made = promtool("tsdb", "create-blocks-from", *options, "openmetrics", text, blocks)
    assert made.returncode == 0, made.stdout
    return blocks


def _lines(scraped: str, instance: str, end: int, *, first: bool) -> Iterator[str]:
    times = [end - (SAMPLES - 1 - index) * EVERY_SECONDS for index in range(SAMPLES)]
    place = f'job="modelwatch",instance="{instance}"'
    yield from _series(f"up{{{place}}}", [1.0] * SAMPLES, times, range(SAMPLES))
    yield from _series(f"scrape_duration_seconds{{{place}}}", [0.02] * SAMPLES, times, range(SAMPLES))
    for family in text_string_to_metric_families(scraped):
        growing = family.type in GROWING
        for sample in family.samples:
            labels = ",".join([place, *(f'{name}="{value}"' for name, value in sample.labels.items())])
            values = [sample.value] * SAMPLES
            if growing:
                values = [sample.value * (index + 1) / SAMPLES for index in range(SAMPLES)]
            elif sample.name == "ml_last_evaluation_timestamp_seconds":
                values = [time - 600.0 for time in times]
            elif sample.name == "ml_monitoring_service_health" and first:
                values = [0.0 if index in STORE_LOST else 1.0 for index in range(SAMPLES)]
            for there in FIRED if sample.name in WHILE_FIRING else (_lifetime(sample.name),):
                yield from _series(f"{sample.name}{{{labels}}}", values, times, there)


def _lifetime(name: str) -> range:
    return range(DEPLOYED if name == "ml_predictions_total" else 0, SAMPLES)


def _series(head: str, values: Sequence[float], times: Sequence[int], there: range) -> Iterator[str]:
    return (f"{head} {values[index]} {times[index]}\n" for index in there)
