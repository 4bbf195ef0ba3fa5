from pathlib import Path

import pytest
from hypothesis.configuration import storage_directory

from lab.virtio.malformed.fuzz import fuzz
from lab.virtio.malformed.request import MalformedRequest


def test_a_device_without_fault_passes() -> None:
    """As many requests are tried as were asked for, and the same seed draws the same."""
    tried: list[list[MalformedRequest]] = [[], []]
    for seen in tried:

        def nothing_wrong(request: MalformedRequest, seen: list[MalformedRequest] = seen) -> tuple[str, ...]:
            seen.append(request)
            return ()

        assert fuzz(nothing_wrong, examples=25, start_seed=4) is None
    assert tried[0] == tried[1] and 20 <= len(tried[0]) <= 25


def test_a_fault_is_made_small() -> None:
    """Of a request with a descriptor of a bad size that descriptor is left."""

    def faults_of(request: MalformedRequest) -> tuple[str, ...]:
        return ("crash",) if any(item.size > 1000 for item in request.table) else ()

    found = fuzz(faults_of, examples=200, start_seed=1)
    assert found is not None and found.faults == ("crash",)
    assert len(found.request.table) == 1 and found.request.heads == ()


def test_a_fault_that_does_not_come_again_is_kept() -> None:
    """A race in QEMU is still a finding."""
    calls = 0

    def faults_of(_: MalformedRequest) -> tuple[str, ...]:
        nonlocal calls
        calls += 1
        return ("once",) if calls == 5 else ()

    found = fuzz(faults_of, examples=20, start_seed=1)
    assert found is not None and found.faults == ("once",)


def test_nothing_is_left_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hypothesis keeps goes to the lab's cache, not to a .hypothesis in the working folder."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    kept: list[Path] = []

    def faults_of(_: MalformedRequest) -> tuple[str, ...]:
        kept.append(storage_directory("examples", intent_to_write=False).path)
        return ()

    fuzz(faults_of, examples=1, start_seed=1)
    assert kept[0] == tmp_path / "hypothesis" / "examples"
    assert storage_directory("examples", intent_to_write=False).path != kept[0]
