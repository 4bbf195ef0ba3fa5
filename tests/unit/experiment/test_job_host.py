"""``[host]`` of a job file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.experiment.job_host import HostTable, Pin
from tests.unit.experiment.made_up import loaded_job
from tests.unit.experiment.test_job import GOOD


def _host(folder: Path, text: str) -> HostTable:
    return loaded_job(folder, GOOD.replace("[judge]", f"[host]\n{text}\n[judge]")).job.host


def test_a_job_need_not_say_anything(tmp_path: Path) -> None:
    """Then threads are pinned where that isolates them."""
    assert loaded_job(tmp_path).job.host == HostTable() == HostTable(pin=Pin.AUTO, overlap=False, device=None)


@pytest.mark.parametrize("word", list(Pin))
def test_a_word_says_how(tmp_path: Path, word: Pin) -> None:
    """Each of them."""
    assert _host(tmp_path, f'pin = "{word.value}"').pin is word


def test_places_say_where(tmp_path: Path) -> None:
    """One for every thread, in the words of ``lab host plan --pin``."""
    table = _host(tmp_path, 'pin = ["vcpu0=2", "main-loop=0"]\noverlap = true\ndevice = "/dev/nvme0n1"')
    assert table == HostTable(pin=("vcpu0=2", "main-loop=0"), overlap=True, device="/dev/nvme0n1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('pin = "sometimes"', "host.pin: pin is one of auto, shared, strict, none, or a list such as"),
        ("pin = []", "host.pin: pin is one of"),
        ("pin = [1]", "host.pin: pin is one of"),
        ("pin = true", "host.pin: pin is one of"),
        ("overlap = true", "overlap is for threads that are placed one by one"),
        ('device = "../sda"', "host.device: String should match"),
        ('pins = "auto"', "host.pins: there is no such key"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    """As for every other table."""
    with pytest.raises(InputError) as caught:
        _host(tmp_path, text)
    assert why in caught.value.message and "job.toml:" in caught.value.message
