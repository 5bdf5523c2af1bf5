"""Renews the pictures of the pages in docs/images from the demo: `make screenshots`. Needs Chromium.

python scripts/screenshots.py [URL]      URL: of a service with the demo's data; without it a demo is started
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from modelwatch.demo.generator import MODEL
from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.programs import installed

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGES = REPOSITORY / "docs" / "images"
WIDTH, HEIGHT = 1280, 900
PAGES = {
    "models": "/ui/models",
    "feature": f"/ui/models/{MODEL}/features/transaction_amount",
}


def main() -> None:
    """Writes one picture for each page."""
    with served(sys.argv[1] if len(sys.argv) > 1 else None) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed("chromium", "chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for name, path in PAGES.items():
            page.goto(url + path)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


@contextmanager
def served(url: str | None) -> Iterator[str]:
    """Address of a service with the demo's data."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="modelwatch-screenshots-") as folder:
        words = ["demo", "--once", "--data-dir", folder, "--port", str(free_port())]
        subprocess.run([sys.executable, "-m", "modelwatch", *words], check=True, cwd=REPOSITORY)
        with LiveService(Path(folder)) as live:
            yield live.url


if __name__ == "__main__":
    main()
