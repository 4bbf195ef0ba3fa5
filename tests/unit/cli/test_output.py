from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.cli import output
from lab.errors import CommandError, InputError
from lab.progress import SilentProgress, TerminalProgress


def test_json_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """A document for machines is all that stdout gets, and it can be read back."""
    output.print_json({"a": [1, None]})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": [1, None]} and captured.err == ""


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Foreign text in JSON cannot drive a terminal."""
    output.print_json({"subject": "\x1b[31m\u202e é"})
    assert capsys.readouterr().out.isascii()


def test_json_has_no_nan() -> None:
    """A number that JSON does not have is a bug of ours, not a document that others cannot read."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.print_json({"p": float("nan")})


def test_text_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """A result for people ends in exactly one newline and has its control characters spelled out."""
    output.print_text("table\x1b[2J\n\n")
    captured = capsys.readouterr()
    assert captured.out == "table\\x1b[2J\n" and captured.err == ""


def test_error_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """An error goes to stderr: what happened, where the evidence is, what to do next."""
    output.print_error(CommandError("ninja failed", remedy="fix it", evidence=Path("build.log")))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "lab: error: ninja failed\n  evidence: build.log\n  what to do: fix it\n"


def test_evidence_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Evidence that the remedy names already is not repeated."""
    output.print_error(CommandError("ninja failed", remedy="read build.log", evidence=Path("build.log")))
    assert capsys.readouterr().err.count("build.log") == 1


def test_error_without_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody knows what to do, nothing is promised."""
    output.print_error(InputError("no such file"))
    assert capsys.readouterr().err == "lab: error: no such file\n"


def test_error_with_foreign_text(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that quotes a mail or a guest does not hand the terminal over to it."""
    output.print_error(InputError("subject '\x1b]0;owned\x07'", remedy="\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().err


def test_progress_can_be_silenced() -> None:
    """Quiet progress is silent, other progress is on stderr."""
    assert isinstance(output.progress_for(quiet=True), SilentProgress)
    assert isinstance(output.progress_for(), TerminalProgress)


def test_progress_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress never mixes with results."""
    output.progress_for().say("working")
    assert capsys.readouterr() == ("", "working\n")
