"""`/docs` without internet: Swagger UI from the installed package, started by a script of ours (no inline code)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>modelwatch API</title>
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="stylesheet" href="docs/style.css">
<link rel="icon" href="docs/assets/favicon.png">
</head>
<body>
<p class="back"><a href="ui/models">modelwatch: the models</a></p>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Swagger UI styles its elements itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""

# Swagger UI knows light alone: turned round, with its hues kept, it is fit for a dark screen.
STYLE = """html, body { margin: 0; background: #ffffff; }
.back { max-width: 1460px; margin: 0 auto; padding: 14px 20px 0; }
.back { font: 15px/1.45 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.back a { color: #175c92; }
@media (prefers-color-scheme: dark) {
  html, body { background: #12161b; }
  .back a { color: #7cbcf0; }
  #swagger-ui { filter: invert(0.93) hue-rotate(180deg); }
}
"""


def install(app: FastAPI) -> None:
    """Adds `/docs`, the files that it needs, and the ways there from `/` and to the pages from `/ui`."""
    assets = Path(str(files("fastapi_offline").joinpath("static")))
    app.mount("/docs/assets", StaticFiles(directory=assets), name="docs-assets")

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> RedirectResponse:
        # A browser asks for HTML by name; a client that takes anything is after the API.
        wants_page = "text/html" in request.headers.get("accept", "")
        return RedirectResponse("ui/models" if wants_page else "docs", status_code=307, headers={"Vary": "Accept"})

    @app.get("/ui", include_in_schema=False)
    async def pages() -> RedirectResponse:
        return RedirectResponse("ui/models", status_code=307)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    @app.get("/docs/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")
