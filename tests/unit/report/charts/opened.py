"""Looks at pictures as files: what holds for every one of them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from lab.report import charts
from lab.report.charts import Caption
from tests.unit.report.examples import HOSTILE

ABOUT = {"Title": "t", "Software": "qemu-patch-lab 1", "Source": "s", "Description": "d"}
CAPTION = Caption(HOSTILE, (HOSTILE,), (HOSTILE * 3,), ABOUT)


def opened(path: Path) -> Image.Image:
    """Open a picture and check what holds for all: print resolution, provenance, something on it, and the SVG file."""
    picture = Image.open(path)
    assert picture.info["Software"] == "qemu-patch-lab 1" and picture.info["Title"] == "t"
    assert picture.info["dpi"][0] == pytest.approx(charts.DPI, abs=0.1) and charts.DPI >= 150
    assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20
    assert not list(path.parent.glob(".*.part"))
    drawn = svg(path)
    names = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert "path" in names and not names & {"script", "foreignObject", "a"}
    words = " ".join("".join(element.itertext()) for element in drawn.iter() if "metadata" in element.tag)
    assert "qemu-patch-lab 1" in words and "Matplotlib" not in words
    return picture


def svg(path: Path) -> ET.Element:
    """Return the SVG file beside a picture; parsing it is a check by itself."""
    return ET.fromstring(path.with_suffix(".svg").read_text(encoding="utf-8"))
