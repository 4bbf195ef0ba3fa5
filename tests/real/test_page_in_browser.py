"""report.html, and the page of lab tmf, in a real browser, from the disk: what they show, do, and may not run.

A browser is some 400 MB, so a host need not have one: without it these tests are skipped, and say so. `nox -s browser`
installs it and fails where it cannot be started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from lab.record import Outcome
from lab.report.charts import canvas
from lab.report.tmf import tmf_page
from lab.report.write import write_report
from tests.unit.analysis.campaign import BUILDS, EXPERIMENT, Campaign, write_campaign
from tests.unit.report.conftest import ONE_PIXEL
from tests.unit.report.examples import HOSTILE
from tests.unit.report.test_tmf import case, document

pytestmark = pytest.mark.real

# The last ones keep Chromium from calling its maker; none of them changes how a page is shown.
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has no sandbox, and the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, NARROW = (1400, 1000), (390, 800)


class Browser:
    """A browser with the page in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, size: tuple[int, int] = WIDE, *, dark: bool = False, media: str = "") -> None:
        """Open a page in a window of a size, with a colour scheme, as on a screen or on paper."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        self.complaints()  # what another page said
        self.driver.get(page.as_uri())

    def find(self, selector: str) -> WebElement:
        """Return the first element that fits."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def points(self) -> list[str]:
        """Return the points of the rows that are shown, in their order."""
        rows = self.driver.find_elements(By.CSS_SELECTOR, "#table tbody tr")
        return [row.text.split()[0] for row in rows if row.is_displayed()]

    def complaints(self) -> list[str]:
        """Return what stands in the console."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in entries]

    def run(self, script: str) -> object:
        """Return what a script returns in the page."""
        return self.driver.execute_script(script)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a headless Chromium, with an empty profile of its own."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if not all(programs.values()) and not os.environ.get("LAB_TEST_BROWSER"):
        pytest.skip("report.html is not tested in a browser: there is no chromium here; 'nox -s browser' installs it")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(programs["chromedriver"])))
    driver.set_page_load_timeout(60)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def written(folder: Path, campaign: Campaign, **files: object) -> Path:
    """Write a report whose pictures are single pixels, and return its page."""

    def rendered(_figure: object, kind: str, _metadata: object) -> bytes:
        return ONE_PIXEL if kind == "png" else b"<svg xmlns='http://www.w3.org/2000/svg'/>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "_rendered", rendered)
        return write_report(write_campaign(folder, campaign, **files)).page  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page about three points, of which the middle one is much slower and the last a little faster."""
    effects = {1: 1.0, 2: 0.5, 4: 1.2}
    campaign = Campaign(effect=lambda point: effects[int(dict(point.levels)["iothreads"])], noise=0.005)
    return written(tmp_path_factory.mktemp("results") / "x", campaign)


def test_the_first_screen_answers(browser: Browser, page: Path) -> None:
    """Verdict, sentence, calibration and the table are there without scrolling, and nothing is complained about."""
    browser.open(page)
    answer = browser.find(".answer")
    assert answer.text.startswith("▼ REGRESSED") and answer.is_displayed()
    table = browser.find("#table").rect
    assert table["y"] + table["height"] < WIDE[1]
    assert "uncalibrated" in browser.find(".facts").text
    assert browser.points() == ["iothreads=1", "iothreads=2", "iothreads=4"]
    assert browser.run("return [...document.images].every((image) => image.naturalWidth === 1)") is True
    assert browser.complaints() == []


def test_a_click_sorts(browser: Browser, page: Path) -> None:
    """By number, up and then down; by point, in the order of the job again; the heading says which way."""
    browser.open(page)
    change = browser.find("th[data-key=change] button")
    change.click()
    assert browser.points() == ["iothreads=2", "iothreads=1", "iothreads=4"]
    change.click()
    assert browser.points() == ["iothreads=4", "iothreads=1", "iothreads=2"]
    assert browser.find("th[data-key=change]").get_attribute("aria-sort") == "descending"
    browser.find("th[data-key=point] button").click()
    assert browser.points() == ["iothreads=1", "iothreads=2", "iothreads=4"]
    assert browser.find("th[data-key=change]").get_attribute("aria-sort") is None
    browser.find("th[data-key=verdict] button").click()
    assert browser.points()[-1] == "iothreads=2"  # IMPROVED, NO_CHANGE_DETECTED, REGRESSED
    assert browser.complaints() == []


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_the_keyboard_sorts(browser: Browser, page: Path, key: str) -> None:
    """A heading is reached and pressed without a mouse."""
    browser.open(page)
    button = browser.find("th[data-key=candidate] button")
    browser.run("document.querySelector('th[data-key=verdict] button').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.TAB, Keys.TAB, Keys.TAB)
    assert browser.driver.switch_to.active_element == button
    button.send_keys(key)
    assert browser.find("th[data-key=candidate]").get_attribute("aria-sort") == "ascending"


def test_rows_are_filtered(browser: Browser, page: Path) -> None:
    """By words, by verdict, and by what decides; the count is said."""
    browser.open(page)
    assert browser.find("#count").text == "3 of 12 rows"
    browser.find("#judged").click()
    assert len(browser.points()) == 12
    browser.find("#find").send_keys("IOTHREADS=2 clat")
    assert browser.points() == ["iothreads=2"] * 2 and browser.find("#count").text == "2 of 12 rows"
    browser.find("#find").clear()
    browser.find("#find").send_keys(Keys.SPACE, Keys.ENTER)
    Select(browser.find("#verdict")).select_by_value("REGRESSED")
    assert set(browser.points()) == {"iothreads=2"}
    assert browser.complaints() == []


def test_evidence_opens_from_the_disk(browser: Browser, page: Path) -> None:
    """A cell unfolds with its commands, and a link leads to the file of the run."""
    browser.open(page)
    browser.find(".cell summary").click()
    assert "--cell baseline.iothreads=1" in browser.find(".cell pre.command").text
    browser.find(".cell .files a").click()
    assert "qemu-system-x86_64 -nodefaults" in browser.driver.page_source
    assert "/runs/" in browser.driver.current_url


def test_hostile_text_does_nothing(browser: Browser, tmp_path: Path) -> None:
    """Names with markup, scripts and directions are shown; nothing of them runs, and nothing is fetched."""
    inject = "<script>hacked=1</script><img src=x onerror=hacked=1><svg onload=hacked=1>"
    campaign = Campaign(factors={"bs": (inject, HOSTILE)}, blocks=2, level=lambda point: 5.0)
    records = [replace(r, outcome=Outcome.VOID, metrics={}, reason=inject) for r in campaign.records()[:2]]
    hostile = {"title": inject, "patches": [{"subject": inject}]}
    shown = written(
        tmp_path / "x",
        campaign,
        records=[*records, *campaign.records()[2:]],
        experiment=EXPERIMENT.replace("virtio-scsi: IOPS", inject),
        builds=BUILDS | {"series": hostile},
    )
    browser.open(shown)
    assert inject in browser.find("h1").text
    assert browser.run("return typeof hacked") == "undefined"
    assert browser.run("return document.scripts.length") == 1
    assert browser.complaints() == []


def test_the_policy_is_in_force(browser: Browser, page: Path) -> None:
    """A script or a picture from elsewhere that got into the page would be refused, and the console would say so."""
    browser.open(page)
    browser.run(
        "const script = document.createElement('script'); script.textContent = 'hacked = 1';"
        "document.body.append(script);"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);"
    )
    assert browser.run("return typeof hacked") == "undefined"
    refused = [text for text in browser.complaints() if "Content Security Policy" in text]
    assert len(refused) == 2


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_everywhere(browser: Browser, page: Path, size: tuple[int, int], dark: bool) -> None:
    """Nothing sticks out of the window, and all text has the contrast that WCAG 2 asks for, in both colour schemes."""
    browser.open(page, size, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth") is True
    assert (browser.run("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)") is dark
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert browser.run(f"{CONTRAST} return tooFaint(4.5);") == []


def test_it_can_be_printed(browser: Browser, page: Path) -> None:
    """On paper there is black on white and nothing to click, also for those who like their screen dark."""
    browser.open(page, dark=True, media="print")
    assert not browser.find("nav").is_displayed() and not browser.find("#controls").is_displayed()
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


@pytest.mark.parametrize("dark", [False, True])
def test_the_matrix_of_task_management_can_be_read(browser: Browser, tmp_path: Path, dark: bool) -> None:
    """A click on a cell leads to its cases; hostile text does nothing; the page fits and has contrast."""
    hung = {"verdict": "failed", "answer": None, "reasons": [HOSTILE], "evidence": str(tmp_path / "kept")}
    cases = [case(f"case-{number}") for number in range(60)] + [case("bad", subtype="QUERY_TASK", **hung)]
    found = document(*cases)
    changes = [{"sentence": HOSTILE, "better": False, "cases": ["bad"]}]
    page = tmp_path / "tmf.html"
    page.write_text(
        tmf_page({"baseline": found, "candidate": found, "changes": changes}, folder=tmp_path), encoding="utf-8"
    )
    for size in (NARROW, WIDE):
        browser.open(page, size, dark=dark)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth") is True
        assert browser.run(f"{CONTRAST} return tooFaint(4.5);") == []
    browser.find(".matrix .v-failed").click()
    assert browser.run("return document.querySelector(':target').textContent") == "QUERY_TASK: in flight"
    assert browser.run("return document.querySelector(':target').getBoundingClientRect().top < innerHeight") is True
    assert browser.run("return document.scripts.length") == 0 and browser.complaints() == []


# Contrast ratio by WCAG 2.2, section "contrast ratio" of its definitions.
CONTRAST = """
function luminance(colour) {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}
function behind(element) {
  for (let at = element; at !== null; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
}
function tooFaint(least) {
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || element.offsetParent === null) continue;
    const two = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    const ratio = (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    if (ratio < least) found.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}
"""
