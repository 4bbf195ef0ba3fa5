from __future__ import annotations

import pytest

from lab.errors import InputError
from lab.workload.fio_options import (
    ALIASES,
    OWNED,
    REFUSED,
    VARIED,
    canonical_name,
    check_engine,
    check_option_name,
    seconds_from_fio_time,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("60s", 60), ("1m", 60), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), ("20 us", 2e-5), ("1.5M", 90)],
)
def test_a_duration_means_what_fio_means(text: str, seconds: float) -> None:
    """m is a minute and ms a millisecond, a bare number seconds, as in fio's HOWTO."""
    assert seconds_from_fio_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "5 min", "1:30", "10s;"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    """What the lab does not understand it does not guess: the length of a run depends on it."""
    with pytest.raises(InputError, match="is not a duration of fio"):
        seconds_from_fio_time(text)


def test_options_that_may_be_varied_pass() -> None:
    """The usual factors are accepted, also in fio's other spellings."""
    for name in ("iodepth", "bs", "blocksize", "readwrite", "numjobs", "timeout"):
        check_option_name(name)


def test_an_unknown_option_gets_the_nearest_one() -> None:
    """A typo is answered with the option that was meant."""
    with pytest.raises(InputError, match=r"did you mean 'iodepth'") as caught:
        check_option_name("iodpeth")
    assert "bs" in caught.value.remedy


def test_an_option_like_no_other_gets_the_list() -> None:
    """Where nothing is near, no nonsense is suggested."""
    with pytest.raises(InputError) as caught:
        check_option_name("zzzzzz")
    assert "did you mean" not in caught.value.message


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_options_say_why(name: str) -> None:
    """Each refused option is refused as a factor too, with its reason."""
    with pytest.raises(InputError, match="is refused: "):
        check_option_name(name)


@pytest.mark.parametrize("name", sorted(OWNED))
def test_options_of_the_lab_are_no_factors(name: str) -> None:
    """What the lab sets itself cannot be varied: the level would silently have no effect."""
    with pytest.raises(InputError, match="is set by the lab itself"):
        check_option_name(name)


@pytest.mark.parametrize("engine", ["exec", "external:/tmp/evil.so", "external"])
def test_engines_that_run_other_code_are_refused(engine: str) -> None:
    """An ioengine that starts a program or loads a library is no workload."""
    with pytest.raises(InputError, match=f"ioengine={engine} is refused"):
        check_engine(engine)


def test_engines_that_do_io_pass() -> None:
    """The engines that measure are accepted."""
    for engine in ("libaio", "io_uring", "psync", "null", ""):
        check_engine(engine)


def test_the_lists_do_not_contradict_each_other() -> None:
    """An option is varied, owned or refused, and an alias stands for one that is not an alias."""
    assert not (VARIED & OWNED.keys() or VARIED & REFUSED.keys() or OWNED.keys() & REFUSED.keys())
    assert all(canonical_name(target) == target for target in ALIASES.values())
