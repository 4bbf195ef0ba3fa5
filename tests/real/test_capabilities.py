"""What a binary says when it is asked what it can do: a QEMU of ours, and programs that are none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.build.build import Build
from lab.errors import ExitCode, InputError
from lab.experiment.capabilities import argv_of_cell
from lab.experiment.cells import checked_cells
from lab.experiment.job import load_job
from lab.machine.capabilities_probe import probe
from lab.machine.mapping import Device, Dialect
from lab.machine.needs import missing_from
from lab.settings import project_dir

GREETS_AND_LIES = """#!/usr/bin/env python3
import json, re, socket, sys
with socket.socket(fileno=int(re.search(r"fd=(\\d+)", " ".join(sys.argv)).group(1))) as s:
    s.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\\n')
    while data := s.recv(1 << 16):
        asked = json.loads(data)
        said = {} if asked["execute"] == "qmp_capabilities" else [17]
        s.sendall(json.dumps({"return": said, "id": asked.get("id")}).encode() + b"\\n")
"""
SHOUTS = "#!/bin/sh\nexec cat /dev/zero\n"
HANGS = "#!/bin/sh\nexec sleep 60\n"
BABBLES = """#!/usr/bin/env python3
import os, re, sys
os.write(int(re.search(r"fd=(\\d+)", " ".join(sys.argv)).group(1)), b"\\x00\\xff{" * 100000)
"""


def test_a_qemu_of_ours_can_do_what_our_jobs_need(qemu_binary: Build) -> None:
    """It is asked in less than a second, has qtest, which -accel help never lists, and lacks nothing."""
    start = time.monotonic()
    found = probe(qemu_binary.qemu)
    assert time.monotonic() - start < 10
    assert {"kvm", "qtest", "tcg"} <= set(found.accelerators)
    assert found.scsi_dialect is Dialect.MERGED and found.has_mapping(Device.VIRTIO_BLK)
    assert {"null-co", "raw", "file", "qcow2", "throttle"} <= set(found.block_drivers)
    assert "ssh" not in found.block_drivers  # which the schema lists all the same
    assert found.trace_backends == ("log",)
    for path in sorted((project_dir() / "jobs").glob("*.toml")):
        loaded = load_job(path)
        for cell in checked_cells(loaded, loaded.profile(None)[1])[0]:
            assert missing_from(found, argv_of_cell(loaded, cell, "tcg")) == (), (path.name, cell.id)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (HANGS, "waited 1 s for QEMU's QMP greeting"),
        (SHOUTS, "cannot be asked"),
        (BABBLES, "cannot be asked"),
        (GREETS_AND_LIES, "its answers are not QEMU's"),
        ("#!/bin/sh\nexit 3\n", "it ended with exit status 3"),
        ("#!/nowhere\n", "cannot be asked"),
        ("", "cannot be asked"),
    ],
)
def test_a_program_that_is_no_qemu_is_refused(tmp_path: Path, script: str, why: str) -> None:
    """Whatever it does instead of answering, and without filling the disk."""
    path = tmp_path / "qemu"
    path.write_text(script)
    path.chmod(0o755)
    with pytest.raises(InputError, match="cannot be asked what it can do") as caught:
        probe(path, timeout_s=1.0 if script == HANGS else 20.0)
    assert why in caught.value.message


def test_a_program_that_is_no_qemu_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a remedy, and no traceback."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    assert run(["capabilities", "--qemu", "/bin/true"]) == ExitCode.INPUT
    assert "/bin/true is not a QEMU" in capsys.readouterr().err
