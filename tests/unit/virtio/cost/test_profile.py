from pathlib import Path

import pytest

from lab.errors import StageError
from lab.virtio.cost.profile import plain_name, profile_from_file, profile_from_lines

WHOLE = """# callgrind format
version: 1
cmd:  qemu -name calls=7
positions: line
events: Ir
summary: 1260

ob=(1) /usr/lib/libglib-2.0.so.0
fl=(1) ???
fn=(1) 0x00000000000526d0
0 60

ob=(2) /build/qemu
fl=(2) /src/hw/scsi/virtio-scsi.c
fn=(2) virtio_scsi_handle.isra.0
10 100
+1 40
cob=(1)
cfn=(1)
calls=3 0
* 5000
fi=(3) /src/include/inline.h
-4 50
fe=(2)
cfn=(3) virtio_scsi_handle.isra.0'2
calls=1 10
+2 999
+2 10

fn=(3)
10 1000
"""


def test_each_function_has_what_it_spent_itself() -> None:
    """Costs of calls are left out, inlined code counts where it was inlined, clones and recursion are one function."""
    profile = profile_from_lines(WHOLE.splitlines(keepends=True))
    assert profile.functions == {"0x000526d0 in libglib-2.0.so.0": 60, "virtio_scsi_handle": 1200}
    assert profile.instructions == 1260


def test_positions_may_have_two_columns() -> None:
    """With --dump-instr the address comes first."""
    lines = ["positions: instr line", "events: Ir", "summary: 7", "fn=main", "0x10 5 4", "+3 * 3"]
    assert profile_from_lines(lines).functions == {"main": 7}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("foo", "foo"),
        ("foo'2", "foo"),
        ("foo.isra.0", "foo"),
        ("foo.constprop.0.isra.0'3", "foo"),
        ("foo.part.12", "foo"),
        ("foo.cold", "foo"),
        ("pthread_mutex_lock@@GLIBC_2.2.5", "pthread_mutex_lock@@GLIBC_2.2.5"),
    ],
)
def test_names_are_those_of_the_source(name: str, plain: str) -> None:
    """What the compiler and callgrind add is taken off."""
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    "text",
    [
        "nothing of the kind\n",
        WHOLE.replace("summary: 1260", "summary: 1261"),
        WHOLE.replace("summary: 1260\n", ""),
        "positions: line\nsummary: 1\nfn=(9)\n1 1\n",
        "positions: line\nsummary: 1\nfn=a\n1\n",
        "positions: line\nsummary: 1\nfn=a\n1 x\n",
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    """Another file, sums that do not agree, a name that was never given, a line cut short: the file is named."""
    path = tmp_path / "profile.1"
    path.write_text(text)
    with pytest.raises(StageError, match=r"profile\.1 is no profile"):
        profile_from_file(path)


def test_a_profile_is_read_from_its_file(tmp_path: Path) -> None:
    """The same as from its lines."""
    path = tmp_path / "profile.1"
    path.write_text(WHOLE)
    assert profile_from_file(path) == profile_from_lines(WHOLE.splitlines())
