from pathlib import Path

from lab.virtio.backing import Backing, copy_name, node_from_backing, with_throttle
from lab.virtio.hold_server import block_pattern


def test_each_backing_is_a_node(tmp_path: Path) -> None:
    """The hold server's export, null-co with zeros, or a file of that size."""
    nodes = {b: node_from_backing(b, "disk", tmp_path, tmp_path / "nbd", 2) for b in Backing}
    assert nodes[Backing.HELD]["export"] == "disk"
    assert nodes[Backing.NULL]["size"] == 2 << 20 and nodes[Backing.NULL]["read-zeroes"] is True
    assert (tmp_path / "disk.raw").stat().st_size == 2 << 20
    assert {node["node-name"] for node in nodes.values()} == {"disk"}


def test_what_a_fresh_block_holds() -> None:
    """Its own number on the hold server, zeros elsewhere; only null-co forgets."""
    assert Backing.HELD.fresh_block(7) == block_pattern(7) and Backing.FILE.fresh_block(7) == bytes(512)
    assert [backing for backing in Backing if not backing.keeps_data] == [Backing.NULL]


def test_a_throttle_filter_is_above() -> None:
    """With the name that the disk uses."""
    node = with_throttle({"node-name": "below"}, "disk", "slow")
    assert (node["node-name"], node["throttle-group"], node["file"]) == ("disk", "slow", {"node-name": "below"})
    assert copy_name("disk") == "disk-copy"
