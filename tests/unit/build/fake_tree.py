"""A tree that configures and builds like QEMU's, in milliseconds: a configure script, a ninja file, option ROMs.

The "binary" is the text of hw/scsi/virtio-scsi.c. A file with the line ``#error`` does not build.
"""

from __future__ import annotations

from pathlib import Path

from lab.build.source import SourceTree, source_from_commit
from lab.build.toolchain import Toolchain
from tests.unit.series.letters import make_tree

SCSI = "hw/scsi/virtio-scsi.c"

TOOLCHAIN = Toolchain("cc", "cc 1.0 [x86_64-linux-gnu]", "ld 1.0", (("glib-2.0", "2.0"),))

_CONFIGURE = r"""#!/bin/sh
echo "configured with $*"
src=$(dirname "$0")
mkdir -p pyvenv/bin pc-bios/optionrom meson-private
printf '#!/bin/sh\necho 1.5\n' > pyvenv/bin/meson
chmod +x pyvenv/bin/meson
ln -sf "$src/pc-bios/optionrom/Makefile" pc-bios/optionrom/Makefile
cat > compile_commands.json <<END
[{"file": "$src/hw/scsi/virtio-scsi.c", "command": "cc -m64 -Iinclude $(cat "$src/flags") -c x.c"}]
END
cat > build.ninja <<END
rule make
  command = ! grep '#error' \$in && cp \$in \$out
  description = Compiling C object \$out
build qemu-system-x86_64: make $src/hw/scsi/virtio-scsi.c
build qemu-img: make $src/VERSION
END
"""

FILES = {
    "VERSION": "10.0.0\n",
    "configure": _CONFIGURE,
    "flags": "-O2 -fwrapv\n",
    SCSI: "one\ntwo\nthree\n",
    "pc-bios/bios-256k.bin": "bios\n",
    "pc-bios/meson.build": "roms = ['edk2-x86_64-code.fd', 'other.bin']\n",
    "pc-bios/optionrom/Makefile": "all:\n\t@for rom in pvh linuxboot_dma; do echo rom > $$rom.bin; done\n",
    "subprojects/keycodemapdb/README": "here\n",
}


def fake_source(folder: Path, changes: dict[str, str] | None = None) -> SourceTree:
    """Return the fake tree as a source, with some files changed."""
    repository, commits = make_tree(folder, {**FILES, **(changes or {})})
    return source_from_commit(repository, commits[-1], "fake")


def commit_again(source: SourceTree) -> str:
    """Return another commit with the same tree."""
    names = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    words = ("commit-tree", source.tree_id, "-p", source.commit, "-m", "again")
    return source.repository.git(*words, env=names).stdout.strip()
