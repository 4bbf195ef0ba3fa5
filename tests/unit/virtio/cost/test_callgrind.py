from pathlib import Path

import pytest

from lab.errors import InputError
from lab.virtio.cost.callgrind import Profiles, wrapper
from tests.unit.virtio.cost.counted import CountedMachine


def test_the_words_before_qemu() -> None:
    """Settings for glibc, then valgrind, which writes into the folder and cuts at a function of QEMU's."""
    words = wrapper(Path("/f"))
    assert words[0] == "env" and words[1].startswith("GLIBC_TUNABLES=glibc.malloc.") and words[2] == "valgrind"
    assert all(setting.startswith("glibc.") for setting in words[1].partition("=")[2].split(":"))
    assert "--callgrind-out-file=/f/profile" in words and "--dump-before=port92_read" in words


def test_each_cut_is_a_profile(tmp_path: Path) -> None:
    """In the order of the cuts."""
    machine = CountedMachine(tmp_path, {})
    profiles = Profiles(machine.qtest, tmp_path)  # type: ignore[arg-type]
    assert [profiles.cut().name, profiles.cut().name] == ["profile.1", "profile.2"]


def test_a_binary_without_symbols_is_refused(tmp_path: Path) -> None:
    """callgrind then writes nothing, and the message says what to give instead."""
    machine = CountedMachine(tmp_path, {})
    machine.writes = False
    with pytest.raises(InputError, match="stripped of its symbols") as caught:
        Profiles(machine.qtest, tmp_path).cut()  # type: ignore[arg-type]
    assert "lab build" in caught.value.remedy
