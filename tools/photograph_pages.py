"""Photograph the built book: ``python tools/photograph_pages.py`` after ``make book``.

``page.png`` is the theory-against-measurement figure of the chapter on gradient descent, for the
README; ``social.png`` is the top of the first page, for links to the book. They show what a reader
sees and are no source of numbers: take them again when the pages look different.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html" / "book"
ASSETS = ROOT / "book" / "_assets"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def opened(browser: Any, name: str, width: int, height: int) -> Any:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.goto((HTML / name).as_uri())
    page.evaluate("() => MathJax.startup.promise")
    return page


def main() -> None:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = opened(browser, "04_gradient_descent.html", 1180, 1180)
        page.locator("#fig-gd-rates").evaluate(
            "e => window.scrollTo({top: e.getBoundingClientRect().bottom - innerHeight + 20,"
            " behavior: 'instant'})"
        )
        page.wait_for_timeout(500)  # the contents beside the text follow the scrolling
        page.screenshot(path=ASSETS / "page.png")
        page = opened(browser, "index.html", 1280, 640)
        page.screenshot(path=ASSETS / "social.png")
        browser.close()


if __name__ == "__main__":
    main()
