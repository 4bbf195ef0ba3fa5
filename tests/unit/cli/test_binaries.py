"""The binaries that options name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

import lab.cli.binaries as options
from lab.cli.binaries import BASELINE, CANDIDATE, asked_binaries, binary_options, common_mappings, on_account_of
from lab.errors import BootError, FindingError, InputError, LabError
from lab.experiment.arms import ArmsRequest
from lab.testing import RecordingProgress

OLD, NEW = Path("old"), Path("new")
BUILT = SimpleNamespace(
    baseline=SimpleNamespace(qemu=Path("built/base")), candidate=SimpleNamespace(qemu=Path("built/series"))
)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ArmsRequest]]:
    """Return what is built meanwhile: one arm or both, and of what."""
    seen: list[tuple[str, ArmsRequest]] = []

    def builder(what: str) -> Any:
        def build(request: ArmsRequest, *, progress: object) -> SimpleNamespace:
            assert progress is not None
            seen.append((what, request))
            return BUILT

        return build

    monkeypatch.setattr(options, "mappings_of", lambda _: ("none",))
    monkeypatch.setattr(options, "arms_from_request", builder("both"))
    monkeypatch.setattr(options, "base_from_request", builder("base"))
    return seen


def asked(*words: str) -> dict[str, Path]:
    """Return the binaries of a call of a verb that has these options."""
    found: list[dict[str, Path]] = []

    @click.command()
    @binary_options
    def verb(**named: Any) -> None:
        found.append(asked_binaries(named, progress=RecordingProgress()))

    result = CliRunner().invoke(verb, words)
    if result.exception is not None:
        raise result.exception
    return found[0]


def emulator(path: Path) -> str:
    """Make a file that answers as QEMU does."""
    path.write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
    path.chmod(0o700)
    return str(path)


def test_binaries_that_are_there_are_taken_as_they_are(tmp_path: Path, requests: list[object]) -> None:
    """One is the baseline, a second one the candidate; nothing is built."""
    old, new = emulator(tmp_path / "old"), emulator(tmp_path / "new")
    assert asked("--qemu", old) == {"baseline": Path(old)}
    assert asked("--qemu", old, "--candidate", new) == {"baseline": Path(old), "candidate": Path(new)}
    assert requests == []


def test_a_binary_is_the_file_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``good`` and ``./good`` are not looked for on PATH, where another may have that name."""
    emulator(tmp_path / "good")
    monkeypatch.chdir(tmp_path)
    assert asked("--qemu", "good", "--candidate", "./good") == dict.fromkeys(
        ("baseline", "candidate"), tmp_path / "good"
    )


@pytest.mark.parametrize(
    ("words", "what", "request_"),
    [
        ((), "base", ArmsRequest()),
        (("--tree", "q", "--base", "v10.0.0"), "base", ArmsRequest(Path("q"), "v10.0.0")),
        (("--series", "s", "--revision", "2"), "both", ArmsRequest(series=Path("s"), revision=2)),
        (("--tree", "q", "--range", "a..b"), "both", ArmsRequest(Path("q"), range="a..b")),
    ],
)
def test_what_is_not_named_is_built(
    requests: list[tuple[str, ArmsRequest]], words: tuple[str, ...], what: str, request_: ArmsRequest
) -> None:
    """Both arms of a series, the base alone where there is none."""
    found = asked(*words)
    assert requests == [(what, request_)]
    assert found["baseline"] == Path("built/base")
    assert found.get("candidate") == (Path("built/series") if what == "both" else None)


@pytest.mark.parametrize(("dead", "kind"), [("series", FindingError), ("base", InputError)])
def test_a_series_whose_qemu_does_not_start_is_a_finding(
    requests: list[object], monkeypatch: pytest.MonkeyPatch, dead: str, kind: type[LabError]
) -> None:
    """It builds, and cannot be asked for anything; where the base cannot either, it is not the series."""

    def mappings_of(qemu: Path) -> tuple[str, ...]:
        if qemu.name == dead:
            raise InputError("it printed: boom")
        return ("none",)

    monkeypatch.setattr(options, "mappings_of", mappings_of)
    with pytest.raises(kind, match="boom"):
        asked("--series", "s")
    assert requests


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--candidate", "good"), "--candidate needs a baseline"),
        (("--qemu", "good", "--series", "s"), "--qemu names a binary"),
        (("--qemu", "good", "--base", "v1"), "--qemu names a binary"),
        (("--qemu", "missing"), "missing cannot be executed"),
        (("--qemu", "good", "--candidate", "missing"), "missing cannot be executed"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, requests: list[object], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    """Before anything is built."""
    emulator(tmp_path / "good")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        asked(*words)
    assert requests == []


def test_mappings_are_those_that_every_binary_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the usual ones the others are left out; one that was named is not, and the binary that refuses it is."""
    monkeypatch.setattr(options, "mappings_of", lambda qemu: ("none", "1", "2") if qemu == NEW else ("none",))
    assert common_mappings({"baseline": NEW}, ()) == ("none", "1", "2")
    assert common_mappings({"baseline": NEW}, ("2", "none")) == ("none", "2")
    both = {"baseline": OLD, "candidate": NEW}
    assert common_mappings(both, (), ("none", "2")) == ("none",)
    with pytest.raises(InputError, match="old does not take --mapping 2"):
        common_mappings(both, ("none", "2"))


@pytest.mark.parametrize(("arm", "kind"), [(CANDIDATE, FindingError), (BASELINE, BootError)])
def test_a_candidate_that_does_not_start_is_a_finding(arm: str, kind: type[LabError]) -> None:
    """The baseline has started before, so it is not the host; a baseline that does not start is no finding."""
    with pytest.raises(kind, match="exit status 1"), on_account_of(arm):
        raise BootError("QEMU ended with exit status 1")
