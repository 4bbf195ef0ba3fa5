from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.build.ninja import NinjaStep, Pace, step_from_line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[3/1576] Compiling C object libblock.a.p/block_nbd.c.o", NinjaStep(3, 1576, "block_nbd.c.o")),
        ("[1576/1576] Linking target qemu-system-x86_64", NinjaStep(1576, 1576, "qemu-system-x86_64")),
        ("[1/2] Generating qemu-version.h with a custom command (wrapped)", NinjaStep(1, 2, "qemu-version.h")),
        ("[1/2] Generating", NinjaStep(1, 2, "Generating")),
        ("../block/nbd.c:12: warning: [1/2] x", None),
        ("ninja: no work to do.", None),
        ("", None),
    ],
)
def test_a_line_of_ninja_says_how_far_it_is(line: str, expected: NinjaStep | None) -> None:
    """Other lines, such as warnings, say nothing."""
    assert step_from_line(line) == expected


def test_the_time_left_is_in_proportion() -> None:
    """And unknown before the first step: ninja counts making its own file again as step 0."""
    assert Pace().eta_s(NinjaStep(1, 4, "x"), 10.0) == 30.0
    assert Pace().eta_s(NinjaStep(4, 4, "x"), 10.0) == 0.0
    step = step_from_line("[0/1] Regenerating build files")
    assert step is not None and Pace().eta_s(step, 10.0) is None


def test_quick_steps_at_the_beginning_promise_nothing() -> None:
    """Five hundred generated files in ten seconds say nothing of a hundred files that take a second each."""
    pace = Pace()
    steps = [(done / 50, done) for done in range(50, 501, 50)] + [(10.0 + step, 500 + step) for step in range(1, 31)]
    said = [pace.eta_s(NinjaStep(done, 600, "x"), elapsed_s) for elapsed_s, done in steps]
    assert said[-1] == 70.0


@given(st.text())
def test_no_line_makes_it_fail(line: str) -> None:
    """Compilers print what they like."""
    step_from_line(line)
    step_from_line(f"[1/2] {line}")
