from pathlib import Path

import pytest

from lab.virtio.tmf.witness import Trace, TraceLine, trace_line

LINES = """\
30655@1795340265.473842:virtio_scsi_cmd_req virtio_scsi_cmd_req lun=0 tag=0x103 cmd=0x28
30657@1795340265.474053:virtio_scsi_cmd_req virtio_scsi_cmd_req lun=1 tag=0x103 cmd=0x28
30650@1795340265.475000:virtio_scsi_tmf_req virtio_scsi_tmf_req lun=0 tag=0x103 subtype=0
rom: file kvmvapic.bin        : error Failed to open file
30655@1795340265.475100:scsi_req_cancel target 0 lun 0 tag -1
"""


def test_lines_are_taken_apart() -> None:
    """Thread, time, event and its numbers, in either of QEMU's two spellings."""
    first = trace_line(LINES.splitlines()[0])
    assert first == TraceLine(30655, 1795340265.473842, "virtio_scsi_cmd_req", {"lun": 0, "tag": 0x103, "cmd": 0x28})
    last = trace_line(LINES.splitlines()[-1])
    assert last is not None and last.fields == {"target": 0, "lun": 0, "tag": -1}


@pytest.mark.parametrize("text", ["", "rom: file x", "12@34.5", "12@34.5:"])
def test_other_lines_are_passed_over(text: str) -> None:
    """QEMU's log holds more than the trace."""
    assert trace_line(text) is None


def test_who_took_what(tmp_path: Path) -> None:
    """Commands and functions are found by LUN and the low half of the tag."""
    path = tmp_path / "trace.log"
    path.write_text(LINES)
    trace = Trace(path)
    trace.catch_up()
    assert trace.command_threads(0, 0x7E57_0000_0103) == (30655,)
    assert trace.command_threads(1, 0x103) == (30657,) and trace.command_threads(2, 0x103) == ()
    assert trace.function_threads(0, 0x103) == (30650,)
    assert trace.cancelled(0, 0xFFFFFFFF) and not trace.cancelled(0, 0x103)


def test_a_trace_grows(tmp_path: Path) -> None:
    """A file that is not there yet is empty, half a line waits for its other half, nothing is read twice."""
    path = tmp_path / "trace.log"
    trace = Trace(path)
    trace.catch_up()
    path.write_text(LINES[:100])
    trace.catch_up()
    assert len(trace.lines) == 1
    path.write_text(LINES)
    trace.catch_up()
    assert len(trace.lines) == 4
    trace.forget()
    assert trace.lines == []
