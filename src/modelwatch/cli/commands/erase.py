"""`modelwatch erase`: removes a prediction, its label and what it added to the counts."""

from __future__ import annotations

from urllib.parse import quote

from modelwatch.cli.base import EXIT_FOUND, EXIT_OK, CliError, Refused, print_json, print_out
from modelwatch.cli.client import ServiceClient


def erase(model: str, prediction_id: str, url: str, day: str | None, leave_counts: bool, as_json: bool) -> int:
    """Erases and says what. Raises CliError when nothing is there, or when it can't be done exactly."""
    params = {"leave_counts": "true"} if leave_counts else {}
    if day is not None:
        params["day"] = day
    path = f"/api/v1/models/{quote(model, safe='')}/predictions/{quote(prediction_id, safe='')}"
    with ServiceClient(url) as service:
        service.check_reachable()
        try:
            done = service.delete(path, params)
        except Refused as refusal:
            if refusal.status == 404:
                raise CliError(refusal.message, EXIT_FOUND) from None
            raise
    if as_json:
        print_json(done)
        return EXIT_OK
    days = f" of {', '.join(done['days'])}" if done["days"] else ""
    print_out(
        f"{model}: erased {_number(done['predictions'], 'prediction')}{days} and {_number(done['labels'], 'label')}"
    )
    if done["counts_left"]:
        print_out(f"  still in the counts of: {', '.join(done['counts_left'])}")
    return EXIT_OK


def _number(count: int, what: str) -> str:
    """Such as `1 label`.

    >>> _number(1, "label"), _number(0, "label")
    ('1 label', '0 labels')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"
