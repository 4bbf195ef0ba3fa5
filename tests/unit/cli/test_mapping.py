from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab.cli.mapping import mapping
from lab.errors import InputError


def run(*argv: str, stdin: str | None = None) -> Result:
    """Run a verb as ``lab mapping`` does."""
    return CliRunner().invoke(mapping, argv, input=stdin, standalone_mode=False)


def answer(*argv: str, stdin: str | None = None) -> Any:
    """Run a verb that prints JSON, and return it."""
    result = run(*argv, stdin=stdin)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_check_keeps_its_json_contract() -> None:
    """A good mapping gives ok, no errors, and every queue with its IOThread."""
    options = ("--device", "virtio-scsi", "--num-queues", "2", "--iothreads", "t0,t1", "--json")
    expected = {
        "ok": True,
        "errors": [],
        "warnings": [],
        "queues": {"ctrl": "main loop", "event": "main loop", "0": "t0", "1": "t1"},
    }
    assert answer("check", *options, "t0,t1") == expected
    assert answer("check", *options, '[{"iothread": "t0"}, {"iothread": "t1"}]') == expected


def test_a_wrong_mapping_ends_with_2() -> None:
    """The verdict is a result, on stdout, in QEMU's words."""
    result = run("check", "--num-queues", "2", "--iothreads", "t0", "--json", "t0:0")
    assert result.return_value == 2
    assert json.loads(result.stdout)["errors"] == ["missing vq 1 IOThread assignment in iothread-vq-mapping"]
    text = run("check", "--device", "virtio-blk", "--num-queues", "2", "--iothreads", "t0", "t1")
    assert text.return_value == 2
    assert text.stdout == 'error: IOThread "t1" object does not exist\n'


def test_a_value_of_another_type_is_a_verdict_too() -> None:
    """QEMU refuses it as well, only earlier."""
    result = run("check", "--num-queues", "2", "--json", '[{"iothread": "t0", "vqs": "0"}]')
    assert result.return_value == 2
    assert json.loads(result.stdout)["errors"] == [
        "Invalid parameter type for 'iothread-vq-mapping[0].vqs', expected: array"
    ]


@pytest.mark.parametrize("text", ["[{", "t0:x", "t0;t1", ""])
def test_what_is_no_mapping_at_all_is_an_input_error(text: str) -> None:
    """Neither JSON nor the short form."""
    assert isinstance(run("check", "--num-queues", "2", text).exception, InputError)


def test_check_prints_warnings_above_the_table() -> None:
    """Idle IOThreads, surplus queues and shared CPUs are told, and the exit code stays 0."""
    pins = ("--pin", "vcpu0=0", "--pin", "t0=0")
    result = run("check", "--num-queues", "2", "--iothreads", "t0,t1", "--vcpus", "1", *pins, "t0")
    assert result.return_value == 0
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["warning"] * 3
    assert lines[3] == "queue  IOThread   CPU"
    assert lines[-1] == "1      t0         0"


def test_a_pin_of_an_unknown_thread_is_refused() -> None:
    """A misspelt name would otherwise say nothing."""
    exception = run("check", "--num-queues", "2", "--pin", "t9=0", "t0").exception
    assert isinstance(exception, InputError)
    assert "'t9'" in exception.message
    assert "t0" in exception.remedy


def test_check_reads_the_device_options() -> None:
    """The iothread property, ioeventfd and the dialect are part of the verdict."""
    assert answer("check", "--num-queues", "1", "--iothread", "t0", "--json")["queues"]["0"] == "t0"
    both = run("check", "--num-queues", "1", "--iothread", "t0", "--no-ioeventfd", "--json", "t1")
    assert json.loads(both.stdout)["errors"][1] == "ioeventfd is required for iothread"
    old = answer("check", "--num-queues", "1", "--dialect", "all-queues", "--json", "t0:ctrl+0,t1:event")
    assert old["queues"] == {"ctrl": "main loop", "event": "t1", "0": "t0"}


def test_render_writes_every_form() -> None:
    """Each form is text for people and data for machines."""
    options = ("--num-queues", "2", "t0:0,t1:1")
    value = [{"iothread": "t0", "vqs": [0]}, {"iothread": "t1", "vqs": [1]}]
    assert json.loads(run("render", "--to", "qemu", *options).stdout) == value
    assert answer("render", "--to", "qemu", "--json", *options) == value
    words = answer("render", "--to", "argv", "--json", *options)
    assert shlex.split(run("render", "--to", "argv", *options).stdout.replace("\\\n", " ")) == words
    commands = answer("render", "--to", "qmp", "--json", *options)
    assert [json.loads(line) for line in run("render", "--to", "qmp", *options).stdout.splitlines()] == commands
    assert commands[-1]["arguments"] == json.loads(words[-1])
    assert answer("render", "--to", "table", "--pin", "t1=3", "--json", *options)[-1] == {
        "queue": "1",
        "iothread": "t1",
        "cpus": "3",
    }
    assert run("render", "--to", "table", *options).stdout.startswith("queue  IOThread")
    assert run("render", "--to", "short", *options).stdout == "t0:0,t1:1\n"


def test_a_table_needs_a_mapping_that_qemu_takes() -> None:
    """There is no assignment to show otherwise."""
    exception = run("render", "--to", "table", "--num-queues", "2", "t0:0").exception
    assert isinstance(exception, InputError)
    assert "missing vq 1" in exception.message


def test_libvirt_is_translated_both_ways(tmp_path: Path) -> None:
    """What to-libvirt prints, from-libvirt reads, from a file and from stdin."""
    xml = run("to-libvirt", "--num-queues", "2", "--name", "scsi3", "iothread4:0,iothread2:1").stdout
    (tmp_path / "controller.xml").write_text(xml)
    (device,) = answer("from-libvirt", "--json", str(tmp_path / "controller.xml"))["devices"]
    assert device == {
        "name": "scsi3",
        "device": "virtio-scsi-pci",
        "num_queues": 2,
        "iothread": None,
        "ioeventfd": True,
        "mapping": [{"iothread": "iothread4", "vqs": [0]}, {"iothread": "iothread2", "vqs": [1]}],
        "short": "iothread4:0,iothread2:1",
    }
    assert run("from-libvirt", "-", stdin=xml).stdout == (
        "scsi3  virtio-scsi-pci  num_queues=2  iothread4:0,iothread2:1\n"
    )


def test_xml_that_the_system_does_not_give_is_an_input_error() -> None:
    """A file that can be opened and not read is no bug in the lab."""
    error = run("from-libvirt", "/proc/self/mem").exception
    assert isinstance(error, InputError) and "/proc/self/mem cannot be read" in error.message


def test_a_disk_with_one_iothread_is_translated() -> None:
    """Names that libvirt does not have are numbered, and that is said on stderr."""
    result = run("to-libvirt", "--device", "virtio-blk", "--num-queues", "4", "--iothread", "io")
    assert result.stderr == "lab: IOThread 'io' is thread 1 in libvirt\n"
    disk = run("from-libvirt", "-", stdin=result.stdout).stdout
    assert disk == "vda  virtio-blk-pci  num-queues=4  iothread=iothread1\n"
    assert answer("to-libvirt", "--num-queues", "1", "--json", "t0")["ids"] == {"t0": 1}


def test_a_disk_without_ioeventfd_is_shown_as_such() -> None:
    """It would be refused with any IOThread."""
    disk = "<disk><driver ioeventfd='off'/><target dev='vdb' bus='virtio'/></disk>"
    assert run("from-libvirt", "-", stdin=disk).stdout == "vdb  virtio-blk-pci  ioeventfd=off\n"
    refused = run("to-libvirt", "--num-queues", "1", "--no-ioeventfd", "t0").exception
    assert isinstance(refused, InputError)
    assert "ioeventfd is required" in refused.message


def test_every_verb_shows_an_example() -> None:
    """The help of each ends with a command to try."""
    for verb in ("check", "render", "from-libvirt", "to-libvirt"):
        assert "Example:" in CliRunner().invoke(mapping, [verb, "--help"]).stdout
