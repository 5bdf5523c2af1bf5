"""Templates and the headers of every page: nothing is loaded from elsewhere, nothing runs, nobody frames it."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer`, browsers would not say which page a form was sent from.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Renderer:
    """Makes pages from the templates of this package. version: of the service, shown below each page."""

    def __init__(self, version: str) -> None:
        self._templates = Environment(
            loader=PackageLoader("modelwatch.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = version

    def page(
        self, template: str, *, root: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> HTMLResponse:
        """A page. root: the relative way from its address to the service's root, such as `../`."""
        text = self._templates.get_template(template).render(root=root, **values)
        return HTMLResponse(text, status, {**HEADERS, **(headers or {})})
