"""The built book as a reader meets it: every page is opened in Chromium, served and from disk.

The tests marked ``browser`` need ``_build/html`` (`make book`), Chromium and Playwright. Where one
is missing they are skipped, except in CI, where they fail. Each page is opened once from a local
server and once from the disk; the tests then ask what was seen. A page that is wrong in every
respect shows at the end that they would see it.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import draw_front_page  # noqa: E402

from optlearn.misprints import misprints  # noqa: E402

HTML = (ROOT / "_build" / "html").resolve()
CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [CONTENTS["root"]] + [
    page["file"]
    for part in CONTENTS["parts"]
    for entry in part["chapters"]
    for page in (entry, *entry.get("sections", ()))
]
TOOL_PAGES = ["search", "genindex"]
MAX_BYTES = 3_000_000
SERIOUS = {"serious", "critical"}

DESKTOP = {"width": 1280, "height": 900}
TELEPHONE = {"width": 390, "height": 844}


# What is needed ----------------------------------------------------------------------------------


def missing(what: str) -> None:
    """Skip, or fail in CI: there the site tests are not optional."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} where CI=true")
    pytest.skip(what)


@pytest.fixture(scope="module")
def html() -> Path:
    """The folder of the built book."""
    if not (HTML / "index.html").exists():
        missing("the book must be built first: `make book`")
    return HTML


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        missing("Chromium and Playwright must be installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@functools.cache
def serve(folder: Path) -> str:
    """Serve a folder on this machine for the rest of the run, and return its address."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


@functools.cache
def axe_script() -> str:
    import axe_playwright_python

    folder = Path(axe_playwright_python.__file__).parent
    return (folder / "axe.min.js").read_text(encoding="utf-8")


# One visit ---------------------------------------------------------------------------------------


@dataclass
class Visit:
    """What happened while a page was open."""

    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    tex_errors: list[str] = field(default_factory=list)
    formulas: int = 0
    typeset: int = 0
    without_alt: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0


TEX_ERRORS = """() => [...document.querySelectorAll('[data-mml-node=merror], mjx-merror')].map(
    e => e.closest('mjx-container').parentElement.textContent.slice(0, 80))"""

WITHOUT_ALT = """() => [
    ...[...document.querySelectorAll('img')].filter(e => {
        const alt = e.getAttribute('alt');
        return alt === null || (e.closest('main') && (!alt.trim() || alt.includes('_images/')));
    }).map(e => e.src.slice(-60)),
    ...[...document.querySelectorAll('main svg')].filter(e =>
        !e.closest('mjx-container, button, a, [aria-hidden=true]')
        && e.getAttribute('aria-hidden') !== 'true'
        && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby')
        && !e.closest('[aria-label]') && !e.querySelector('title')
    ).map(e => e.outerHTML.slice(0, 80))]"""

# Elements that stick out, unless a box around them scrolls or hides what is too wide.
TOO_WIDE = """() => {
    const page = document.documentElement;
    if (page.scrollWidth <= page.clientWidth) return [];
    const clipped = e => {
        for (let box = e.parentElement; box && box !== document.body; box = box.parentElement)
            if (getComputedStyle(box).overflowX !== 'visible') return true;
        return false;
    };
    const out = [...document.body.querySelectorAll('*')].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1 && !clipped(e));
    return [`the page is ${page.scrollWidth} px wide`,
            ...out.slice(0, 5).map(e => `${e.tagName}.${e.className}`)];
}"""

# axe needs a minute for the contrast of ten thousand elements. Those of one colour, size and
# background are alike: one of each is marked for it, in each theme.
MARK_SAMPLES = """theme => {
    document.documentElement.dataset.theme = theme;
    const background = e => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (!color.endsWith(', 0)')) return color;
        }
    };
    const seen = new Set();
    for (const e of document.body.querySelectorAll('*')) {
        const texts = [...e.childNodes].filter(c => c.nodeType === Node.TEXT_NODE);
        if (!texts.some(c => c.data.trim()) || !e.checkVisibility()) continue;
        const s = getComputedStyle(e);
        const look = [s.color, s.opacity, s.fontSize, s.fontWeight, background(e)].join();
        if (!seen.has(look)) e.classList.add('sample');
        seen.add(look);
    }
    return seen.size;
}"""

# The insides of formulas are pictures; code without a sample needs no colours any more.
SIMPLIFY = """() => {
    for (const e of document.querySelectorAll('mjx-container')) e.replaceChildren();
    for (const e of document.querySelectorAll('.highlight pre:not(:has(.sample))'))
        e.textContent = e.textContent;
}"""

AXE = """async ([theme, where, options]) => {
    document.documentElement.dataset.theme = theme;
    const found = await axe.run(where, {resultTypes: ['violations'], preload: false, ...options});
    return found.violations.flatMap(v => v.nodes.map(n => [
        v.impact, v.id, n.target.join(' '), n.failureSummary.split('\\n')[1] || '']));
}"""
ALL_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "rules": {"color-contrast": {"enabled": False}},
}
CONTRAST = {"runOnly": ["color-contrast"]}


def listen(page: Any, base: str, seen: Visit) -> None:
    """Write down what the page asks for and what it says."""
    own = (base, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(own) else seen.outside.append(r.url))
    page.on("requestfailed", lambda r: seen.failed.append(f"{r.url}: {r.failure}"))
    page.on("response", lambda r: answered(r, seen))
    page.on(
        "console",
        lambda m: seen.messages.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: seen.messages.append(str(error)))


def answered(response: Any, seen: Visit) -> None:
    if response.status >= 400:
        seen.failed.append(f"{response.url}: {response.status}")
    if "tex-svg" not in response.url:
        seen.size += int(response.headers.get("content-length", 0))


def settle(page: Any) -> None:
    """Wait until the mathematics is typeset."""
    page.wait_for_load_state("load")
    page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")


def axe(page: Any) -> dict[str, list[str]]:
    """Ask axe about the page, and about its contrast in either theme."""
    page.evaluate(axe_script())
    themes = ("light", "dark")
    looks = [page.evaluate(MARK_SAMPLES, theme) for theme in themes]
    assert min(looks) > 1
    page.evaluate(SIMPLIFY)
    sample = {"include": [[".sample"]]}
    everywhere = page.evaluate(AXE, ["light", {"exclude": [["mjx-container"]]}, ALL_RULES])
    return {
        theme: [
            ": ".join(entry)
            for entry in everywhere + page.evaluate(AXE, [theme, sample, CONTRAST])
            if entry[0] in SERIOUS
        ]
        for theme in themes
    }


def new_page(browser: Any, size: dict[str, int] = DESKTOP) -> Any:
    """Open an empty page that has patience with a busy machine."""
    page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(120_000)
    return page


def visit(browser: Any, base: str, name: str) -> Visit:
    """Open one page, look at it on a telephone, and on a desktop, light and dark."""
    seen = Visit()
    page = new_page(browser, TELEPHONE)
    listen(page, base, seen)
    page.goto(base + name)
    settle(page)
    seen.tex_errors = page.evaluate(TEX_ERRORS)
    seen.formulas = page.evaluate("document.querySelectorAll('span.math, div.math').length")
    seen.typeset = page.evaluate(
        "[...document.querySelectorAll('span.math, div.math')]"
        ".filter(e => e.querySelector('mjx-container svg')).length"
    )
    seen.without_alt = page.evaluate(WITHOUT_ALT)
    seen.too_wide = page.evaluate(TOO_WIDE)
    page.set_viewport_size(DESKTOP)
    seen.violations = axe(page)
    page.close()
    return seen


@pytest.fixture(scope="module")
def visits(browser: Any, html: Path) -> Any:
    """Visit each page once, when the first test asks for it."""
    return functools.cache(lambda name: visit(browser, serve(html), f"{name}.html"))


every_page = pytest.mark.parametrize("name", PAGES + TOOL_PAGES)
in_browser = pytest.mark.browser


# The pages ---------------------------------------------------------------------------------------


@in_browser
@every_page
def test_no_request_leaves_the_machine(visits: Any, name: str) -> None:
    assert visits(name).outside == []


@in_browser
@every_page
def test_every_request_is_answered_and_nothing_complains(visits: Any, name: str) -> None:
    assert visits(name).failed == []
    assert visits(name).messages == []


@in_browser
@every_page
def test_all_mathematics_is_typeset(visits: Any, name: str) -> None:
    seen = visits(name)
    assert seen.tex_errors == []
    assert seen.typeset == seen.formulas
    if re.search(r"/\d\d_(?!article)(?!questions)|notation|formulas", name):
        assert seen.formulas > 20


@in_browser
@every_page
def test_every_figure_has_words(visits: Any, name: str) -> None:
    assert visits(name).without_alt == []


@in_browser
@every_page
def test_a_telephone_need_not_scroll_sideways(visits: Any, name: str) -> None:
    assert visits(name).too_wide == []


@in_browser
@every_page
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_barrier(visits: Any, name: str, theme: str) -> None:
    """Contrast of text and code among them, in either theme."""
    assert visits(name).violations[theme] == []


@in_browser
@every_page
def test_a_page_is_light_enough_for_a_slow_line(visits: Any, name: str) -> None:
    assert 10_000 < visits(name).size < MAX_BYTES


@in_browser
@every_page
def test_a_page_opens_from_the_disk(browser: Any, html: Path, name: str) -> None:
    seen = Visit()
    page = new_page(browser)
    listen(page, html.as_uri(), seen)
    page.goto((html / f"{name}.html").as_uri())
    settle(page)
    assert page.evaluate("document.querySelectorAll('span.math:not(:has(svg))').length") == 0
    page.close()
    assert (seen.outside, seen.failed, seen.messages) == ([], [], [])


# The book ----------------------------------------------------------------------------------------


@in_browser
@pytest.mark.parametrize("place", ["server", "disk"])
def test_search_finds_a_term(browser: Any, html: Path, place: str) -> None:
    base = serve(html) if place == "server" else html.as_uri() + "/"
    seen = Visit()
    page = new_page(browser)
    listen(page, base, seen)
    page.goto(base + "search.html?q=Huber")
    page.wait_for_selector("#search-results li a")
    page.wait_for_load_state("networkidle")
    targets = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    excerpts = page.locator("#search-results li p.context").count()
    page.close()
    assert any("02_losses.html" in target for target in targets)
    assert bool(excerpts) == (place == "server")
    assert (seen.outside, seen.failed, seen.messages) == ([], [], [])


@in_browser
def test_the_first_page_says_what_it_is_and_how_to_run_it_on_one_screen(
    browser: Any, html: Path
) -> None:
    """What it teaches, the picture and the commands are seen before scrolling to the chapters."""
    page = new_page(browser)
    page.goto((html / f"{PAGES[0]}.html").as_uri())
    settle(page)
    bottom = page.evaluate(
        "Math.max(...[...document.querySelectorAll("
        "'.front-lead, .front-pictures img, #run-it pre')]"
        ".map(e => e.getBoundingClientRect().bottom))"
    )
    chapters = page.eval_on_selector_all(
        "#the-chapters ol a", "all => all.map(a => a.getAttribute('href'))"
    )
    page.close()
    assert 400 < bottom <= DESKTOP["height"]
    assert chapters == [
        f"{Path(p).name}.html" for p in PAGES if re.search(r"/\d\d_(?!article)", p)
    ]


def soup(path: Path) -> Any:
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@in_browser
@pytest.mark.parametrize("direction", ["next", "prev"])
def test_the_links_at_the_foot_walk_the_whole_book(html: Path, direction: str) -> None:
    order = PAGES if direction == "next" else PAGES[::-1]
    path, walked = html / f"{order[0]}.html", []
    for _ in range(len(PAGES) + 1):
        walked.append(path.relative_to(html).with_suffix("").as_posix())
        link = soup(path).select_one(f"a.{'right' if direction == 'next' else 'left'}-{direction}")
        if link is None:
            break
        path = (path.parent / link["href"]).resolve()
    assert walked == order


@in_browser
def test_the_root_leads_to_the_first_page(html: Path) -> None:
    assert f"{PAGES[0]}.html" in (html / "index.html").read_text(encoding="utf-8")


def broken_links(html: Path) -> Iterator[str]:
    """Yield every link between pages, and every picture, whose target does not exist."""
    pages = {
        path: soup(path)
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.relative_to(html).parts
    }
    anchors = {
        path: {tag.get("id") or tag.get("name") for tag in tree.select("[id], a[name]")}
        for path, tree in pages.items()
    }
    for path, tree in pages.items():
        for tag in tree.select("[href], [src]"):
            target = urllib.parse.urlsplit(tag.get("href") or tag.get("src"))
            if target.scheme or target.netloc:
                continue
            place = urllib.parse.unquote(target.path)
            to = (path.parent / place).resolve() if place else path
            anchor = urllib.parse.unquote(target.fragment)
            where = f"{path.relative_to(html)}: {target.geturl()}"
            if not to.exists():
                yield f"{where} does not exist"
            elif anchor and to in anchors and anchor not in anchors[to]:
                yield f"{where} has no such place"


@in_browser
def test_every_link_inside_the_book_has_its_target(html: Path) -> None:
    assert list(broken_links(html)) == []


# The table of errors -----------------------------------------------------------------------------

AUDIT = "book/17_source_audit.html"
VISIBLE = "rows => rows.filter(row => row.checkVisibility()).map(row => row.cells[0].innerText)"


def listed(page: Any) -> list[str]:
    """Return the numbers in the rows that can be seen."""
    return page.eval_on_selector_all("table.filter tbody tr", VISIBLE)


@pytest.fixture
def audit(html: Path, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport=TELEPHONE)
    page.goto(serve(html) + AUDIT)
    page.wait_for_selector(".filter-form")
    yield page
    page.close()


@in_browser
def test_the_table_of_errors_is_whole_without_its_script(html: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(serve(html) + AUDIT)
    assert page.locator(".filter-form").count() == 0
    links = page.locator("table.filter tbody th a")
    assert links.all_inner_texts() == [entry.id for entry in misprints()]
    assert all(link.is_visible() for link in links.all())
    context.close()


@in_browser
def test_the_table_of_errors_is_filtered_by_keyboard(audit: Any) -> None:
    """By article, by severity and by words, one after the other and together."""
    everything = [entry.id for entry in misprints()]
    assert listed(audit) == everything
    audit.get_by_label("Severity", exact=True).focus()
    audit.keyboard.press("a")  # as one types into a choice
    assert listed(audit) == [entry.id for entry in misprints(severity="A")]
    audit.keyboard.press("Shift+Tab")
    audit.keyboard.press("0")
    both = [entry.id for entry in misprints(article=0, severity="A")]
    assert listed(audit) == both
    assert audit.get_by_role("status").inner_text() == f"{len(both)} of {len(everything)} shown"
    audit.keyboard.press("Tab")
    audit.keyboard.press("Tab")
    audit.keyboard.type("POSITION momentum")
    audit.keyboard.press("Enter")  # sends nothing anywhere
    assert listed(audit) == ["E0-06"]
    assert audit.url.endswith(AUDIT)
    audit.keyboard.type(" nowhere")
    assert listed(audit) == []
    audit.keyboard.press("Tab")
    audit.keyboard.press("Enter")
    whole = f"{len(everything)} of {len(everything)} shown"
    audit.wait_for_function(
        "text => document.querySelector('.filter-form output').value === text", arg=whole
    )
    assert listed(audit) == everything


@in_browser
def test_the_table_of_errors_fits_on_a_telephone(audit: Any) -> None:
    box = "table => [table.scrollWidth, table.closest('.text_html').clientWidth]"
    width, room = audit.eval_on_selector("table.filter", box)
    assert 200 < width <= room < TELEPHONE["width"]


@in_browser
def test_the_table_of_errors_lies_on_the_page_in_the_dark(audit: Any) -> None:
    """Not on the light ground that the theme gives to outputs."""
    audit.evaluate("document.documentElement.dataset.theme = 'dark'")
    color = "(e, name) => getComputedStyle(e)[name]"
    ground = audit.eval_on_selector(".text_html:has(table.filter)", color, "backgroundColor")
    text = audit.eval_on_selector("table.filter td", color, "color")
    assert ground == "rgba(0, 0, 0, 0)"
    assert min(map(int, re.findall(r"\d+", text)[:3])) > 150


@in_browser
def test_the_links_in_the_table_of_errors_lead_to_the_exhibits(audit: Any, html: Path) -> None:
    links = audit.eval_on_selector_all(
        "table.filter tbody th a", "links => links.map(link => link.getAttribute('href'))"
    )
    assert len(links) == len(misprints())
    for link in links:
        file, _, place = link.partition("#")
        assert f'id="{place}"' in (html / "book" / file).read_text(encoding="utf-8"), link


# The tests themselves ----------------------------------------------------------------------------


WRONG = """<!doctype html><html lang="en"><title>Wrong</title><body><main>
<style>em { background: #fff } [data-theme=dark] em { color: #ccc }</style><em>Pale at night.</em>
<span class="math"><mjx-container><svg aria-label="bad TeX"><g data-mml-node="merror"></g></svg>
</mjx-container></span>
<h1>Wrong</h1><p style="color: #999; background: #fff">Too pale.</p>
<img src="gone.png"><div style="width: 900px">Too wide.</div><span class="math">x</span>
<a href="nowhere.html">nowhere</a> <a href="#nothing">nothing</a>
<script>console.error("trouble"); fetch("http://127.0.0.1:9/").catch(() => {})</script>
</main></body></html>"""


@in_browser
def test_a_page_with_every_fault_is_seen_through(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.html").write_text(WRONG, encoding="utf-8")
    seen = visit(browser, serve(tmp_path), "wrong.html")
    assert "http://127.0.0.1:9/" in seen.outside
    assert any("gone.png" in entry for entry in seen.failed)
    assert "trouble" in seen.messages
    assert (seen.formulas, seen.typeset, len(seen.tex_errors)) == (2, 1, 1)
    assert len(seen.without_alt) == 1
    assert "DIV." in seen.too_wide
    rules = {entry.split(": ")[1] for entry in seen.violations["light"]}
    assert {"color-contrast", "image-alt"} <= rules
    by_night = set(seen.violations["dark"]) - set(seen.violations["light"])
    assert [entry.split(": ")[:3] for entry in by_night] == [["serious", "color-contrast", "em"]]
    problems = list(broken_links(tmp_path))
    assert len(problems) == 3


# The picture of the first page -------------------------------------------------------------------

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def skeleton(svg: str) -> tuple[str, np.ndarray]:
    """Split a drawing into its structure and its coordinates.

    Identifiers are hashes of coordinates, and an embedded image is compressed: both say nothing
    that the coordinates and the size of the image do not say.
    """
    svg = re.sub(r"base64,[^\"]*", "", svg)
    svg = re.sub(r"\b[mp][0-9a-f]{10}\b", "", svg)
    return NUMBER.sub("0", svg), np.array([float(x) for x in NUMBER.findall(svg)])


def test_the_first_pages_picture_is_what_the_package_draws(tmp_path: Path) -> None:
    draw_front_page.main(tmp_path)
    for name in ("front-paths.svg", "front-losses.svg"):
        drawn, numbers = skeleton((tmp_path / name).read_text(encoding="utf-8"))
        kept, expected = skeleton((draw_front_page.ASSETS / name).read_text(encoding="utf-8"))
        assert drawn == kept
        # Coordinates are in 1/72 inch: a hundredth of one is not seen.
        np.testing.assert_allclose(numbers, expected, rtol=0, atol=0.01)


def test_the_first_pages_theory_is_what_is_measured() -> None:
    _, theta, loss = draw_front_page.measured()
    np.testing.assert_allclose(loss, draw_front_page.predicted(), rtol=1e-9)
    assert theta.shape == (draw_front_page.STEPS + 1, 3, 2)
    far_below, below, above = loss.T
    assert (np.diff(far_below) < 0).all()
    assert (np.diff(below) < 0).all()
    assert (np.diff(above)[-10:] > 0).all()
    assert below[-1] < far_below[-1] < above[-1]
