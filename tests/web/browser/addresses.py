"""The addresses of all pages, from the list that the service itself is made of: a new page is looked at without a word
here, unless its address has a part that is not known yet."""

from __future__ import annotations

import re

import httpx

from modelwatch.web.pages import MODULES

# The drifting model of the demo, which has something to show on every page.
MODEL = "credit_risk"
PARTS = {"model_name": MODEL, "feature": "income_monthly", "feature_name": "income_monthly"}
PATTERNS = sorted(
    {route.path for module in MODULES for route in module.ROUTES if "GET" in (route.methods or ())} | {"/login"}
)


def address_of(pattern: str, url: str) -> str:
    """The address of a page. url: of the service, which is asked for an alert where the page is about one."""
    parts = dict(PARTS)
    if "{alert_id" in pattern:
        alerts = httpx.get(f"{url}/api/v1/alerts", params={"model": MODEL}).json()["alerts"]
        parts["alert_id"] = alerts[0]["alert_id"]
    return "/ui" + re.sub(r"\{(\w+):\w+\}", lambda found: parts[found.group(1)], pattern)
