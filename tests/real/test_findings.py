"""Scripts that show a finding without the lab."""

import subprocess
import sys

from lab.build.build import Build
from lab.settings import project_dir


def test_an_nbd_client_that_holds_requests_back_is_told_from_one_that_does_not(qemu_binary: Build) -> None:
    """QEMU 10.0 holds back all but the last (docs/findings/0001-...); a QEMU that is mended completes one by one."""
    (script,) = (project_dir() / "docs" / "findings").glob("0001-*.py")
    done = subprocess.run(
        [sys.executable, str(script), str(qemu_binary.qemu)], capture_output=True, text=True, timeout=120, check=False
    )
    completed = [int(line.rpartition(" ")[2]) for line in done.stdout.splitlines()]
    assert completed == ([1, 2, 3, 4] if done.returncode == 0 else [0, 0, 0, 4]), done.stdout + done.stderr
