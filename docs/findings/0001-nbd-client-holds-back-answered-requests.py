"""Four READs in flight on one NBD connection, answered one by one: which of them has QEMU completed?

    python3 0001-nbd-client-holds-back-answered-requests.py qemu-system-x86_64

Needs no guest and nothing but Python. Protocol: doc/proto.md of the NBD project.
"""

import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

READS, BYTES, WAIT_S = 4, 4096, 0.5


def connected(stream: Any) -> None:
    """Shake hands: fixed newstyle, simple replies."""
    stream.write(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    stream.read(4)
    while True:
        _magic, option, length = struct.unpack(">QII", stream.read(16))
        stream.read(length)
        reply = struct.pack(">QI", 0x3E889045565A9, option)
        if option == 7:  # NBD_OPT_GO
            stream.write(reply + struct.pack(">IIHQH", 3, 12, 0, READS * BYTES, 1) + reply + struct.pack(">II", 1, 0))
            return
        stream.write(reply + struct.pack(">II", 0x80000001, 0))  # NBD_REP_ERR_UNSUP


def answered(stream: Any, completed: Callable[[], int]) -> bool:
    """Take the READs, answer one after another with header and payload in one piece, and tell what comes of it."""
    cookies = [struct.unpack(">IHHQQI", stream.read(28))[3] for _ in range(READS)]
    held_back = False
    for sent, cookie in enumerate(cookies, 1):
        stream.write(struct.pack(">IIQ", 0x67446698, 0, cookie) + bytes(BYTES))
        time.sleep(WAIT_S)
        done = completed()
        held_back = held_back or done < sent
        print(f"{WAIT_S:g} s after reply {sent} of {READS}: QEMU has completed {done}")
    return held_back


def main(qemu: str) -> int:
    """Return 1 where a request that was answered had to wait for the reply to another."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder) / "nbd")
        listener.bind(path)
        listener.listen()
        drive = f"if=none,id=disk,format=raw,file.driver=nbd,file.server.type=unix,file.server.path={path}"
        command = [qemu, "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio", "-drive", drive]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            talk, listen = process.stdin, process.stdout
            assert talk is not None and listen is not None
            stream = listener.accept()[0].makefile("rwb", buffering=0)
            connected(stream)

            def qmp(execute: str, **arguments: str) -> Any:
                talk.write(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
                talk.flush()
                return next(said["return"] for said in map(json.loads, listen) if "return" in said)

            qmp("qmp_capabilities")
            for number in range(READS):
                qmp("human-monitor-command", **{"command-line": f'qemu-io disk "aio_read -q {number * BYTES} {BYTES}"'})
            held_back = answered(stream, lambda: int(qmp("query-blockstats")[0]["stats"]["rd_operations"]))
            process.kill()
    return int(held_back)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
