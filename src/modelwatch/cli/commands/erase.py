"""`modelwatch erase`: removes a prediction, its label and what it added to the counts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_FOUND,
    AsJson,
    CliError,
    Refused,
    Url,
    connected,
    print_json,
    print_out,
)


def erase(
    model: Annotated[str, typer.Argument(help="Model of the prediction.")],
    prediction_id: Annotated[str, typer.Argument(help="Id of the prediction.")],
    url: Url = DEFAULT_URL,
    day: Annotated[str | None, typer.Option(help="Only the prediction of this UTC day, such as 2026-01-31.")] = None,
    leave_counts: Annotated[
        bool, typer.Option("--leave-counts", help="Erase even where a feature's value is not stored; its counts stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a prediction: its row, its label and its part of the counts. Exit code 1 if there is none."""
    params = {"leave_counts": "true"} if leave_counts else {}
    if day is not None:
        params["day"] = day
    path = f"/api/v1/models/{quote(model, safe='')}/predictions/{quote(prediction_id, safe='')}"
    with connected(url) as service:
        try:
            done = service.delete(path, params)
        except Refused as refusal:
            if refusal.status == 404:
                raise CliError(refusal.message, EXIT_FOUND) from None
            raise
    if as_json:
        print_json(done)
        return
    days = f" of {', '.join(done['days'])}" if done["days"] else ""
    print_out(
        f"{model}: erased {_number(done['predictions'], 'prediction')}{days} and {_number(done['labels'], 'label')}"
    )
    if done["counts_left"]:
        print_out(f"  still in the counts of: {', '.join(done['counts_left'])}")


def _number(count: int, what: str) -> str:
    """Such as `1 label`.

    >>> _number(1, "label"), _number(0, "label")
    ('1 label', '0 labels')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"
