"""Writes the page /ui/runbooks, and the steps of each section as data, from docs/runbooks.md: `make rules`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "docs" / "runbooks.md"
TARGET = REPOSITORY / "src" / "modelwatch" / "web" / "templates" / "alerts" / "runbooks.html"
STEPS = REPOSITORY / "src" / "modelwatch" / "alerting" / "views" / "runbook_steps.json"

HEAD = """\
{% extends "base.html" %}
{# Generated from docs/runbooks.md by `make rules`. #}
{% block title %}Runbooks{% endblock %}
{% block content %}
{% raw %}
<article class="text">
"""
FOOT = """\
</article>
{% endraw %}
{% endblock %}
"""


def runbooks_page(text: str) -> str:
    """The template of the page. Headings get their anchors; links to other documents, which it does not serve, go."""
    html = MarkdownIt().render(text)
    html = re.sub(r"<h2>(\w+)</h2>", lambda found: f'<h2 id="{found[1].lower()}">{found[1]}</h2>', html)
    html = html.replace("<ol>", '<ol class="runbook">')
    html = re.sub(r'<a href="(?!#)[^"]*">(.*?)</a>', r"\1", html)
    return HEAD + html + FOOT


def runbook_steps(text: str) -> dict[str, list[str]]:
    """The steps of each section that has some, by its anchor, as plain text."""
    found: dict[str, list[str]] = {}
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        steps = re.findall(r"^\d+\. (.*(?:\n   .*)*)", body, flags=re.MULTILINE)
        if steps:
            found[title.strip().lower()] = [_plain(step) for step in steps]
    return found


def _plain(markdown: str) -> str:
    """Markdown without its marks, in one line."""
    without_links = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", markdown)
    return " ".join(re.sub(r"[`*]", "", without_links).split())


if __name__ == "__main__":
    STEPS.write_text(json.dumps(runbook_steps(SOURCE.read_text()), indent=1, ensure_ascii=False) + "\n")
    TARGET.write_text(runbooks_page(SOURCE.read_text()))
