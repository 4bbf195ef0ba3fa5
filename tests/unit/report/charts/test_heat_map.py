"""A proof as a picture: what is in the matrix, and that it is drawn."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.report.charts.canvas import Caption
from lab.report.charts.heat_map import LARGEST_MATRIX, threads_chart, threads_from_json

CAPTION = Caption("Who serves which queue", (), ("Numbers: microseconds per request",), {"Title": "threads"})
QUEUE = {
    "controller": "scsi0",
    "queue": "0",
    "vcpu": 0,
    "asked": "iothread0",
    "verdict": "proved",
    "requests": 500,
    "cpu_ns": {"main loop": 15_000_000, "iothread0": 10_000_000, "iothread1": 0},
    "taken": {"iothread0": 500},
}


def document(**changes: Any) -> dict[str, Any]:
    """Return a proof of two queues; the second as changed."""
    other = {**QUEUE, "queue": "1", "vcpu": 1, **changes}
    return {"verdict": "proved", "queues": [copy.deepcopy(QUEUE), other]}


def test_matrix_of_a_proof() -> None:
    """Each thread that worked or should have is a column; shares come from the trace, times from the CPU."""
    matrix = threads_from_json(document(taken={"vcpu1": 125, "iothread0": 375}, verdict="refuted"), "proof.json")
    assert matrix.rows == ("scsi0 queue 0, vCPU 0", "scsi0 queue 1, vCPU 1")
    assert matrix.columns == ("main loop", "iothread0", "iothread1", "vcpu1")
    assert matrix.taken == {(0, "iothread0"): 1.0, (1, "vcpu1"): 0.25, (1, "iothread0"): 0.75}
    assert matrix.cpu_us[(0, "iothread0")] == 20.0 and matrix.refuted == {1}


def test_without_requests_nothing_is_divided() -> None:
    """A load that did not get through leaves a row without numbers."""
    matrix = threads_from_json(document(requests=0, taken=None), "proof.json")
    assert not any(place[0] == 1 for place in (*matrix.taken, *matrix.cpu_us))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [([], "valid dictionary"), ({"verdict": "proved", "queues": []}, "queues"), (document(requests=-1), "requests")],
)
def test_something_else_is_refused(wrong: Any, words: str) -> None:
    """The message names the document and the key."""
    with pytest.raises(InputError, match=rf"proof\.json: .*{words}"):
        threads_from_json(wrong, "proof.json")


@pytest.mark.parametrize("taken", [{"iothread0": 500}, {"iothread1": 500}, None])
def test_picture_is_drawn(tmp_path: Path, taken: dict[str, int] | None) -> None:
    """With and without a trace, proved and refuted; the words are in the SVG file beside the PNG file."""
    matrix = threads_from_json(document(taken=taken, verdict="refuted"), "proof.json")
    threads_chart(tmp_path / "threads.png", matrix, CAPTION)
    assert (tmp_path / "threads.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "threads.svg").stat().st_size > 1000


def test_a_large_proof_is_cut(tmp_path: Path) -> None:
    """The picture stays readable; the table has the rest."""
    queues = [{**QUEUE, "queue": str(number)} for number in range(LARGEST_MATRIX + 20)]
    matrix = threads_from_json({"verdict": "proved", "queues": queues}, "proof.json")
    threads_chart(tmp_path / "threads.png", matrix, CAPTION)
    assert len(matrix.rows) == LARGEST_MATRIX + 20
    assert (tmp_path / "threads.png").read_bytes().startswith(b"\x89PNG")
