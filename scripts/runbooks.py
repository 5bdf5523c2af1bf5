"""Writes the page /ui/runbooks from docs/runbooks.md: `make rules`."""

from __future__ import annotations

import re
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "docs" / "runbooks.md"
TARGET = REPOSITORY / "src" / "modelwatch" / "web" / "templates" / "runbooks.html"

HEAD = """\
{% extends "base.html" %}
{# Generated from docs/runbooks.md by `make rules`. #}
{% block title %}Runbooks{% endblock %}
{% block content %}
{% raw %}
"""
FOOT = """\
{% endraw %}
{% endblock %}
"""


def runbooks_page(text: str) -> str:
    """The template of the page. Headings get their anchors; links to other documents, which it does not serve, go."""
    html = MarkdownIt().render(text)
    html = re.sub(r"<h2>(\w+)</h2>", lambda found: f'<h2 id="{found[1].lower()}">{found[1]}</h2>', html)
    html = re.sub(r'<a href="(?!#)[^"]*">(.*?)</a>', r"\1", html)
    return HEAD + html + FOOT


if __name__ == "__main__":
    TARGET.write_text(runbooks_page(SOURCE.read_text()))
