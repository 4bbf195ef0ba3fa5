import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.record import Arm, Outcome, json_from_record
from lab.report import page, page_rows
from lab.report.page import page_text
from lab.report.pictures import Picture
from tests.unit.analysis.campaign import BUILDS, Campaign, write_campaign, write_lines
from tests.unit.report.conftest import ONE_PIXEL
from tests.unit.report.examples import HOSTILE, results


class Page(HTMLParser):
    """What a browser would make of a page, as far as the tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline: dict[str, str] = {}
        self.words = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._open = tag
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """End a script or a style."""
        self._open = ""

    def handle_data(self, data: str) -> None:
        """Note text, that of script and style apart."""
        if self._open in ("script", "style"):
            self.inline[self._open] = self.inline.get(self._open, "") + data
        else:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def policy(self) -> str:
        """Return the Content-Security-Policy."""
        return next(e["content"] for e in self.all("meta") if e.get("http-equiv") == "Content-Security-Policy")


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """Return a picture of one pixel."""
    (tmp_path / "iops.png").write_bytes(ONE_PIXEL)
    return Picture(tmp_path / "iops.png", "IOPS over iothreads")


def read(comparison: Comparison, *pictures: Picture) -> Page:
    """Make the page and take it apart."""
    return Page(page_text(comparison, pictures))


def test_a_page_has_all_its_parts(tmp_path: Path, picture: Picture) -> None:
    """Question, verdict, what it rests on, table, pictures, evidence, builds, host, and how to make it again."""
    folder = write_campaign(tmp_path / "x", Campaign(effect=lambda point: 0.5))
    shown = read(compare_results(read_results(folder)), picture)
    for part in (
        "Does the series change how IOPS grow",
        "REGRESSED",
        "regressed at 3 of 3 points",
        "demo: busy loop",
        "never absolute IOPS",
        "uncalibrated",
        "36 ok of 36 scheduled",
        "Imaginary CPU 9000",
        "lab shell '--series=my series.mbox' --cell candidate.iothreads=4",
        'qemu-system-x86_64 -nodefaults -device \'{"driver": "x"}\'',
        "gcc 12.2.0",
        "a" * 64,
        "virtio-scsi: waste time",
        "lab run jobs/virtio-scsi-iothreads.toml '--series=my series.mbox' --profile=quick --seed=7",
        "lab report x",
    ):
        assert part in shown.words, part
    assert [e["src"] for e in shown.all("img")] == [f"data:image/png;base64,{base64.b64encode(ONE_PIXEL).decode()}"]
    assert "../runs/b01-p01-" in " ".join(e["href"] for e in shown.all("a"))


def test_only_the_labs_own_script_and_style_may_run() -> None:
    """The policy allows nothing but these two, by hash, and pictures that are inside the page."""
    shown = read(compare_results(results(Campaign())))
    hashes = {
        name: base64.b64encode(hashlib.sha256(shown.inline[name].encode()).digest()).decode()
        for name in ("script", "style")
    }
    assert shown.policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    )
    assert len(shown.all("script")) == len(shown.all("style")) == 1


def test_nothing_is_fetched() -> None:
    """No address leads anywhere but into the page and the results folder."""
    shown = read(compare_results(results(Campaign())))
    addresses = [v for _, e in shown.elements for name, v in e.items() if name in ("src", "href", "action", "srcset")]
    assert addresses and all(address.startswith(("#", "../runs/", "data:")) for address in addresses)
    assert not re.search(r"url\(|@import|https?:", shown.inline["style"] + shown.inline["script"])
    # A style attribute or an event handler would be against the policy.
    assert not [e for _, e in shown.elements if "style" in e or any(name.startswith("on") for name in e)]


def test_foreign_text_is_text(tmp_path: Path) -> None:
    """Titles, subjects, reasons, levels and file names make no elements, links or scripts, and hide nothing."""
    campaign = Campaign(factors={"bs": (HOSTILE, "javascript:alert(1)")}, blocks=2, level=lambda point: 5.0)
    records = [replace(r, outcome=Outcome.VOID, metrics={}, reason=HOSTILE) for r in campaign.records()[:3]]
    folder = write_campaign(
        tmp_path / "x",
        campaign,
        records=[*records, *campaign.records()[3:]],
        experiment=f"title = '''{HOSTILE.replace(chr(27), '').replace('| ', '')}'''\n",
        builds=BUILDS | {"series": {"title": HOSTILE, "patches": [{"subject": f"a\n{HOSTILE}"}]}},
        host={"cpu_model": HOSTILE, "kernel_release": HOSTILE},
    )
    (folder / "runs" / records[0].id / "javascript:alert(1)").write_text("x")
    (folder / "runs" / records[0].id / '"><img src=x onerror=alert(1)>').write_text("x")
    comparison = compare_results(read_results(folder))
    text = page_text(comparison, ())
    shown = Page(text)
    assert len(shown.all("script")) == 1 and not shown.all("img") and "<script>alert(1)</script>" in shown.words
    assert not set(text) & {"\x1b", "\u202e"} and "\\x1b[31m" in shown.words
    hrefs = [e["href"] for e in shown.all("a")]
    assert all(href.startswith(("#", "../runs/")) and not re.search(r"[<>\"'\s]", href) for href in hrefs)
    assert any(href.endswith("/javascript%3Aalert%281%29") for href in hrefs)


def test_a_table_can_be_read_by_everybody() -> None:
    """Headings have a scope, every row is named by its point, and drawings say what they show."""
    shown = read(compare_results(results(Campaign())))
    assert all(e.get("scope") in ("col", "row") for e in shown.all("th"))
    drawings = shown.all("svg")
    assert drawings and all(e["role"] == "img" and "%" in e["aria-label"] for e in drawings)
    assert shown.all("html")[0]["lang"] == "en" and all("alt" in e for e in shown.all("img"))


def test_findings_and_failures_are_on_the_first_screen() -> None:
    """What the candidate breaks stands before the table."""
    crash = Campaign(fails=lambda run: Outcome.QEMU_CRASHED if run.cell.arm is Arm.CANDIDATE else None)
    text = page_text(compare_results(results(crash)), ())
    assert 0 < text.index("the candidate&#39;s QEMU crashed") < text.index("<table")
    assert "18 ok, 18 failed of 36 scheduled" in text and "<b>qemu-crashed</b>" in text


def test_an_empty_experiment_has_a_page() -> None:
    """Nothing planned, nothing known, nothing measured; it says so."""
    made = results(Campaign(blocks=0))
    bare = replace(made, builds={}, host={}, question=replace(made.question, command="", chosen=(), question=""))
    shown = read(compare_results(bare))
    for part in ("Nothing was measured.", "Nothing is known of the builds.", "Nothing is known of the host."):
        assert part in shown.words


def test_what_does_not_fit_is_linked(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page stays small enough to mail; a picture, a row or a warning that is left out is said to be."""
    monkeypatch.setattr(page, "LARGEST_PAGE_BYTES", 1000)
    monkeypatch.setattr(page, "LARGEST_TABLE", 2)
    monkeypatch.setattr(page, "_MOST_WARNINGS", 1)
    shown = read(compare_results(results(Campaign())), picture)
    assert not shown.all("img") and "too much for the page" in shown.words
    assert {"iops.png", "iops.svg"} <= {e["href"] for e in shown.all("a")}
    assert "further rows are in report.md" in shown.words and "further warnings are in report.md" in shown.words


def test_a_large_experiment_has_a_page_below_3_mb(tmp_path: Path) -> None:
    """Many points, many runs and large pictures together."""
    campaign = Campaign(factors={"iothreads": range(1, 201)}, blocks=3)
    folder = write_campaign(tmp_path / "x", campaign)
    pictures = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"x" * 400_000)
        pictures.append(Picture(path, "large"))
    comparison = compare_results(read_results(folder))
    text = page_text(comparison, pictures)
    assert len(text.encode()) < 3_000_000 and 'src="data:' in text
    assert f"{len(comparison.points) - page_rows.LARGEST_TABLE} further rows" in text


def test_extreme_numbers_are_shown(tmp_path: Path) -> None:
    """Zero, negative and huge values, of which some have no ratio, give a page."""
    campaign = Campaign(blocks=6)
    values = [9e17, -9e17, 1e-18, 0.0, 1.0]
    records = [replace(record, metrics={"iops": values[place % 5]}) for place, record in enumerate(campaign.records())]
    folder = write_campaign(tmp_path / "x", campaign)
    write_lines(folder / "runs.jsonl", [json_from_record(record) for record in records])
    text = page_text(compare_results(read_results(folder)), ())
    assert not re.search(r'(?:x1|x2|cx|x|width|data-value)="[^"]*(?:nan|inf)', text)
