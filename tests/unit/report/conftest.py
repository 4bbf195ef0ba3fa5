"""Takes the time out of drawing where a test is about something else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lab.report.charts import canvas

ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every picture a single pixel: figures are put together, but not rendered."""

    def rendered(_figure: Any, kind: str, _metadata: dict[str, Any]) -> bytes:
        return ONE_PIXEL if kind == "png" else b"<svg xmlns='http://www.w3.org/2000/svg'/>"

    monkeypatch.setattr(canvas, "_rendered", rendered)
