"""What the forms of a page send."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from modelwatch.api.ingest.bodies import body_timeout
from modelwatch.errors import BodyTooLarge, MalformedBody, UnsupportedContent

FORM_TYPE = "application/x-www-form-urlencoded"
LARGEST_FORM = 64 * 1024
MOST_FIELDS = 20


async def read_form(request: Request, seconds: float) -> dict[str, str]:
    """The fields of a form, without those that are empty.

    Raises BodyTooLarge, BodyTimeout when it does not come within so many seconds, UnsupportedContent, and MalformedBody
    for what no browser sends.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedContent(f"A form is sent as {FORM_TYPE}.")
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                content += part
                if len(content) > LARGEST_FORM:
                    raise BodyTooLarge(f"The form has more than {LARGEST_FORM} bytes.")
    except TimeoutError:
        raise body_timeout(seconds) from None
    except ClientDisconnect:
        raise MalformedBody("The form did not arrive completely.") from None
    try:
        fields = parse_qs(content.decode("ascii"), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise MalformedBody("The form can't be read.") from None
    return {name: values[0].strip() for name, values in fields.items() if values[0].strip()}
