import json
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.report.proofs import stored_proofs

QUEUE = {
    "controller": "scsi0",
    "queue": "0",
    "vcpu": 0,
    "asked": "iothread0",
    "verdict": "proved",
    "requests": 10,
    "cpu_ns": {"iothread0": 1000, "main": 0},
    "taken": {"iothread0": 10},
}


def put(results: Path, cell: str, content: str) -> None:
    """Write a proof into a results folder."""
    folder = results / "proofs" / cell
    folder.mkdir(parents=True)
    (folder / "proof.json").write_text(content, encoding="utf-8")


def test_proofs_are_found_by_cell(tmp_path: Path) -> None:
    """In the order of their names; a cell without one has none."""
    put(tmp_path, "b", json.dumps({"verdict": "proved", "queues": [QUEUE]}))
    put(tmp_path, "a", json.dumps({"verdict": "refuted", "queues": [QUEUE]}))
    (tmp_path / "proofs" / "c").mkdir()
    found = stored_proofs(tmp_path)
    assert [(cell, matrix.verdict) for cell, matrix in found.items()] == [("a", "refuted"), ("b", "proved")]


def test_results_without_proofs_have_none(tmp_path: Path) -> None:
    """Older results, and CSV files."""
    assert stored_proofs(tmp_path) == {} == stored_proofs(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("content", "why"), [("{", "is not JSON"), ("[" * 10**5, "is not JSON"), ("{}", "queues|verdict")]
)
def test_a_damaged_proof_is_refused(tmp_path: Path, content: str, why: str) -> None:
    """The message names the file."""
    put(tmp_path, "a", content)
    with pytest.raises(InputError, match=rf"proof.json.*({why})"):
        stored_proofs(tmp_path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A results folder of somebody else cannot show what is elsewhere."""
    put(tmp_path / "elsewhere", "a", json.dumps({"verdict": "proved", "queues": [QUEUE]}))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "proofs").symlink_to(tmp_path / "elsewhere" / "proofs")
    (tmp_path / "two" / "proofs").mkdir(parents=True)
    (tmp_path / "two" / "proofs" / "a").symlink_to(tmp_path / "elsewhere" / "proofs" / "a")
    assert stored_proofs(tmp_path / "one") == {} == stored_proofs(tmp_path / "two")
