"""Pages for people: what an alert says, its notifications, and what can be done about it. No scripts."""

from modelwatch.web.pages import build_pages

__all__ = ["build_pages"]
