from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lab.progress import Progress, SilentProgress, TerminalProgress, columns_of, headline, printable
from lab.testing import FakeClock


def _plain(clock: FakeClock) -> tuple[TerminalProgress, io.StringIO]:
    text = io.StringIO()
    return TerminalProgress(Console(file=text, markup=False, highlight=False, width=200), clock=clock.now), text


def _terminal(clock: FakeClock, term: str = "xterm") -> tuple[TerminalProgress, io.StringIO]:
    text = io.StringIO()
    console = Console(
        file=text,
        markup=False,
        highlight=False,
        width=200,
        force_terminal=True,
        color_system=None,
        _environ={"TERM": term},  # whatever the tests' own terminal is
    )
    return TerminalProgress(console, clock=clock.now), text


def test_silence() -> None:
    """Silent progress takes every call and shows nothing."""
    progress: Progress = SilentProgress()
    progress.say("hello")
    with progress.stage("build", total=3) as stage:
        stage.update(1, note="half", eta_s=3)


def test_stage_leaves_its_duration() -> None:
    """Elsewhere than on a terminal a stage is a line when it begins and a line when it ends."""
    clock = FakeClock()
    progress, text = _plain(clock)
    with progress.stage("build"):
        clock.advance(65)
    assert text.getvalue() == "build ...\nbuild: done in 1 min 05 s\n"


def test_failed_stage_is_not_done() -> None:
    """A stage that an exception left does not claim to be done."""
    progress, text = _plain(FakeClock())
    with pytest.raises(ValueError, match="boom"), progress.stage("build"):
        raise ValueError("boom")
    assert "done" not in text.getvalue()


def test_plain_lines_come_every_ten_seconds() -> None:
    """A long stage says every ten seconds how far it is, what it does and how long it will take."""
    clock = FakeClock()
    progress, text = _plain(clock)
    with progress.stage("build", total=100) as stage:
        for done in range(0, 100, 5):
            clock.advance(2)
            stage.update(done, note="ninja")
    assert text.getvalue().splitlines()[1:-1] == [
        "build: 20 % ninja, 40 s left",
        "build: 45 % ninja, 24 s left",
        "build: 70 % ninja, 13 s left",
        "build: 95 % ninja, 2.1 s left",
    ]


def test_total_may_come_later() -> None:
    """A total that is known only under way counts from then on."""
    clock = FakeClock()
    progress, text = _plain(clock)
    with progress.stage("build") as stage:
        clock.advance(10)
        stage.update(1)
        clock.advance(10)
        stage.update(2, total=4)
        clock.advance(10)
        stage.update(3)
    assert text.getvalue().splitlines()[1:-1] == ["build:", "build: 50 % 20 s left", "build: 75 % 10 s left"]


def test_callers_estimate_wins() -> None:
    """Who knows better than a proportion how long it takes is believed."""
    clock = FakeClock()
    progress, text = _plain(clock)
    with progress.stage("run", total=4) as stage:
        clock.advance(10)
        stage.update(1, eta_s=200)
    assert "25 % 3 min 20 s left" in text.getvalue()


def test_terminal_shows_bar_note_and_estimate() -> None:
    """On a terminal a live line shows title, note and the time left, and goes away for the final line."""
    clock = FakeClock()
    progress, text = _terminal(clock)
    with progress.stage("build", total=4) as stage:
        clock.advance(10)
        stage.update(1, note="ninja")
    assert "ninja" in text.getvalue() and "30 s left" in text.getvalue()
    assert text.getvalue().endswith("build: done in 10 s\n")


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """A terminal that cannot move its cursor shows progress line by line, as a file does."""
    clock = FakeClock()
    progress, text = _terminal(clock, term="dumb")
    with progress.stage("build", total=4) as stage:
        clock.advance(10)
        stage.update(1, note="ninja")
    assert text.getvalue().splitlines()[0] == "build ..."
    assert "ninja, 30 s left" in text.getvalue()


@pytest.mark.parametrize("make", [_plain, _terminal])
def test_foreign_text_cannot_drive_the_terminal(make: type) -> None:
    """Titles, notes and lines are shown with their control characters spelled out."""
    clock = FakeClock()
    progress, text = make(clock)
    progress.say("\x1b]0;a\x07")
    with progress.stage("\x1b]0;b\x07", total=1) as stage:
        clock.advance(20)
        stage.update(1, note="\x1b]0;c\x07")
    for letter in "abc":
        assert f"\\x1b]0;{letter}\\x07" in text.getvalue()
        assert f"\x1b]0;{letter}" not in text.getvalue()


def test_markup_is_not_obeyed() -> None:
    """Square brackets are text, not colours."""
    progress, text = _plain(FakeClock())
    progress.say("[red]series[/red]")
    assert text.getvalue() == "[red]series[/red]\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\rb", "a\\rb"),
        ("\x7f\x85", "\\x7f\\x85"),
        ("\u202eevil", "\\u202eevil"),
        ("\u061c\u2066\u2028", "\\u061c\\u2066\\u2028"),
        ("\ud800", "\\ud800"),
        ("naïve 試験", "naïve 試験"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """What would move the cursor, colour or turn the text around is shown as an escape; letters stay."""
    assert printable(text) == shown


@given(st.text())
def test_printable_text_is_harmless(text: str) -> None:
    """No control character survives but tab and newline, and doing it twice changes nothing."""
    shown = printable(text)
    assert all(char in "\t\n" or ord(char) >= 0x20 for char in shown)
    assert printable(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("\u732b\u732b", 4), ("e\u0301", 1), ("", 0)])
def test_columns_are_those_of_a_terminal(text: str, columns: int) -> None:
    """Wide characters take two, accents that combine none."""
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("fio failed\nfd_io_u error", "fio failed"),
        (
            "QEMU ended by itself with signal SIGABRT:\n  Assertion `x' failed.\nmore",
            "QEMU ended by itself with signal SIGABRT: Assertion `x' failed.",
        ),
        ("nothing follows:", "nothing follows:"),
    ],
)
def test_a_headline_does_not_end_where_it_announces_something(text: str, shown: str) -> None:
    """QEMU's own words are what its reader wants to see, and not a colon."""
    assert headline(text) == shown
