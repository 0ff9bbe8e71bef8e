"""The page of `ul2-prep stats --html` in a real browser: it opens without an error, asks for nothing, and each plot is drawn.

python -m pytest tests/readers/test_page.py --page FILE [--screenshot FILE]
"""

import base64
import os
from pathlib import Path

import pytest
from browser import Browser, find

FIGURES = """
[...document.querySelectorAll("figure")].map(figure => {
  const box = figure.getBoundingClientRect();
  const marks = [...figure.querySelectorAll("svg rect, svg polyline, svg circle")].map(mark => mark.getBBox());
  const texts = [...figure.querySelectorAll("svg text")].map(text => text.getBoundingClientRect());
  return {
    id: figure.id, width: box.width, height: box.height,
    marks: marks.filter(mark => mark.width > 0 || mark.height > 0).length,
    outside: texts.filter(text => text.left < box.left || text.right > box.right + 1).length,
  };
})
"""


@pytest.fixture(scope="module")
def page(request):
    name = request.config.getoption("--page")
    if not name:
        pytest.fail("name a page with `--page FILE`", pytrace=False)
    return Path(name).resolve()


@pytest.fixture(scope="module")
def browser(page):
    if not find():
        # A machine that tests everything has one; elsewhere it may be missing, and the log says so.
        (pytest.fail if os.environ.get("UL2_PREP_BROWSER") == "required" else pytest.skip)("there is no Chromium")
    with Browser(1360, 2000) as browser:
        browser.open(page.as_uri())
        yield browser


def test_the_page_opens_without_an_error(browser):
    assert browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    assert "with seed" in browser.evaluate("document.title")


def test_the_page_asks_for_nothing_else(browser, page):
    asked = [event["params"]["request"]["url"] for event in browser.told("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


def test_every_plot_is_drawn_inside_its_figure(browser):
    figures = browser.evaluate(FIGURES)
    ids = [figure["id"] for figure in figures]
    assert {"mixture", "lengths-input_ids", "lengths-labels", "sources", "rejects"} <= set(ids)
    assert any(name.startswith("spans-") for name in ids) and any(name.startswith("positions-") for name in ids)
    for figure in figures:
        assert figure["width"] > 300 and figure["height"] > 50, figure
        assert figure["marks"] > 0, figure
        assert figure["outside"] == 0, figure


def test_nothing_is_wider_than_the_window(browser):
    for width in [1360, 420]:
        browser.send("Emulation.setDeviceMetricsOverride", width=width, height=2000, deviceScaleFactor=1, mobile=False)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.send("Emulation.clearDeviceMetricsOverride")


def test_spans_are_coloured(browser):
    kinds = browser.evaluate('[...new Set([...document.querySelectorAll(".row code span")].map(span => span.className))]')
    assert {"noise", "sentinel"} <= set(kinds)
    colour = 'getComputedStyle(document.querySelector(".row .noise")).backgroundColor'
    assert browser.evaluate(colour) not in ("", "rgba(0, 0, 0, 0)")


def test_a_screenshot(browser, request):
    shot = base64.b64decode(browser.send("Page.captureScreenshot", format="png")["data"])
    assert shot.startswith(b"\x89PNG")
    if name := request.config.getoption("--screenshot"):
        Path(name).write_bytes(shot)
