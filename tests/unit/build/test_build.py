from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.build.build import Build, debug_traits, differences, require_comparable
from lab.errors import InputError, NotComparableError

BUILD = Build(
    folder=Path("/cache/k"),
    key="k",
    commit="c",
    tree_id="t",
    origin="qemu 10.0",
    version="10.0.0",
    configure_options=("--enable-tcg",),
    compiler="cc 1",
    linker="ld 1",
    libraries={"glib-2.0": "2.0"},
    c_flags=("-O2", "-fwrapv"),
    binary_sha256="0" * 64,
    firmware_sha256={"pvh.bin": "1" * 64},
    built_at="2026-01-01T00:00:00+00:00",
    seconds=1.5,
    steps=3,
)


def test_the_json_form_reads_back() -> None:
    """Every field."""
    assert Build.from_json(BUILD.to_json()) == BUILD
    assert BUILD.to_json()["qemu"] == "/cache/k/qemu-system-x86_64"


@pytest.mark.parametrize("damage", [{"format": 2}, {"libraries": 3}, {"seconds": "x"}])
def test_what_is_no_build_is_refused(damage: dict[str, object]) -> None:
    """Another format, or a wrong type."""
    with pytest.raises(InputError):
        Build.from_json({**BUILD.to_json(), **damage})
    with pytest.raises(InputError):
        Build.from_json([])


def test_builds_that_differ_in_their_source_only_are_comparable() -> None:
    """That is the question."""
    require_comparable(BUILD, replace(BUILD, commit="d", tree_id="u", binary_sha256="2" * 64))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("configure_options", ("--disable-tcg",), "configure options: --enable-tcg against --disable-tcg"),
        ("compiler", "cc 2", "compiler: cc 1 against cc 2"),
        ("linker", "ld 2", "linker: ld 1 against ld 2"),
        ("libraries", {"glib-2.0": "3.0"}, "libraries: glib-2.0=2.0 against glib-2.0=3.0"),
        ("c_flags", ("-O3",), "c flags: -O2 -fwrapv against -O3"),
    ],
)
def test_each_difference_is_a_sentence(field: str, value: object, sentence: str) -> None:
    """And makes the pair not comparable."""
    other = replace(BUILD, **{field: value})  # type: ignore[arg-type]
    assert differences(BUILD, other) == (sentence,)
    with pytest.raises(NotComparableError, match="cannot be compared"):
        require_comparable(BUILD, other)


@pytest.mark.parametrize(
    ("flags", "traits"),
    [
        (("-O2",), ()),
        (("-O0", "-O2"), ()),
        (("-O2", "-O0"), ("optimisation -O0",)),
        ((), ("optimisation no -O at all",)),
        (("-O3", "-fsanitize=thread", "--coverage"), ("-fsanitize=thread", "--coverage")),
    ],
)
def test_what_is_not_made_for_speed_is_told(flags: tuple[str, ...], traits: tuple[str, ...]) -> None:
    """The last -O counts, as for the compiler."""
    assert debug_traits(replace(BUILD, c_flags=flags)) == traits
