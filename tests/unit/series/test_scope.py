from __future__ import annotations

import pytest

from lab.series.scope import ANY, UNKNOWN, Rule, rules, scenarios_of, scope_from_files

SCSI = Rule(("hw/scsi/*",), frozenset({"device:virtio-scsi-pci"}), "scsi", ("tmf", "drain"))
DOCS = Rule(("docs/*", "*.rst"), frozenset(), "text")
BLOCK = Rule(("block/*",), frozenset({ANY}), "block", ("drain",))
TABLE = (DOCS, BLOCK, SCSI)


def loads_of(path: str) -> frozenset[str]:
    """Return what a machine must load for a change of this file to matter to it."""
    (item,) = scope_from_files([path])
    return item.rule.loads


def test_the_first_rule_that_fits_speaks() -> None:
    """A star stands for slashes, too."""
    (item,) = scope_from_files(["block/export/x.rst"], TABLE)
    assert item.rule is DOCS
    assert scope_from_files(["block/export/x.c"], TABLE)[0].rule is BLOCK


def test_files_of_one_rule_are_one_item_and_what_matters_comes_first() -> None:
    """Sorted, each once."""
    scope = scope_from_files(["docs/b", "hw/scsi/z.c", "docs/a", "block/x.c", "hw/scsi/a.c", "docs/a"], TABLE)
    assert [(item.files, item.rule.reason) for item in scope] == [
        (("block/x.c",), "block"),
        (("hw/scsi/a.c", "hw/scsi/z.c"), "scsi"),
        (("docs/a", "docs/b"), "text"),
    ]


def test_an_unknown_file_may_change_everything() -> None:
    """To run too little would hide a regression."""
    (item,) = scope_from_files(["new/thing.c"], TABLE)
    assert item.rule is UNKNOWN and item.rule.concerns(())


def test_a_rule_concerns_what_loads_one_of_its_words() -> None:
    """Or everything; or nothing."""
    assert SCSI.concerns({"device:virtio-scsi-pci", "x"}) and not SCSI.concerns({"device:virtio-blk-pci"})
    assert BLOCK.concerns(()) and not DOCS.concerns({"device:virtio-scsi-pci"})


def test_scenarios_are_named_once_the_most_wanted_first() -> None:
    """Two files ask for a drain, one for a TMF."""
    assert scenarios_of(scope_from_files(["block/a.c", "hw/scsi/a.c"], TABLE)) == ("drain", "tmf")
    assert scenarios_of(()) == ()


def test_an_item_is_json() -> None:
    """Keys that scripts rely on."""
    (item,) = scope_from_files(["hw/scsi/a.c"], TABLE)
    assert item.to_json() == {
        "files": ["hw/scsi/a.c"],
        "loads": ["device:virtio-scsi-pci"],
        "scenarios": ["tmf", "drain"],
        "reason": "scsi",
    }


@pytest.mark.parametrize(
    ("path", "loads"),
    [
        ("hw/scsi/virtio-scsi.c", {"device:virtio-scsi-pci"}),
        ("hw/scsi/virtio-scsi-dataplane.c", {"device:virtio-scsi-pci"}),
        ("hw/scsi/scsi-bus.c", {"device:virtio-scsi-pci"}),
        ("hw/scsi/scsi-disk.c", {"device:scsi-hd", "device:scsi-block"}),
        ("hw/scsi/lsi53c895a.c", set()),
        ("hw/block/virtio-blk.c", {"device:virtio-blk-pci"}),
        ("hw/virtio/virtio-blk-pci.c", {"device:virtio-blk-pci"}),
        ("hw/virtio/iothread-vq-mapping.c", {"property:iothread-vq-mapping"}),
        ("hw/virtio/virtio.c", {"device:virtio-scsi-pci", "device:virtio-blk-pci"}),
        ("hw/virtio/virtio-net-pci.c", set()),
        ("block/io_uring.c", {"aio:io_uring"}),
        ("block/linux-aio.c", {"aio:native"}),
        ("block/null.c", {"blockdev:null-co", "blockdev:null-aio"}),
        ("block/nvme.c", {"blockdev:nvme"}),
        ("block/qcow2-cluster.c", {"blockdev:qcow2"}),
        ("block/throttle-groups.c", {"blockdev:throttle"}),
        ("nbd/server.c", {"blockdev:nbd"}),
        ("block/mirror.c", set()),
        ("block/block-backend.c", {ANY}),
        ("block/io.c", {ANY}),
        ("util/aio-posix.c", {ANY}),
        ("util/fdmon-epoll.c", {ANY}),
        ("iothread.c", {"object:iothread"}),
        ("qapi/virtio.json", {ANY}),
        ("meson.build", {ANY}),
        ("meson_options.txt", {ANY}),
        ("scripts/qapi/gen.py", {ANY}),
        ("include/qemu/osdep.h", {ANY}),
        ("accel/kvm/kvm-all.c", {"accel:kvm"}),
        ("migration/ram.c", set()),
        ("tests/qtest/virtio-scsi-test.c", set()),
        ("docs/system/virtio.rst", set()),
        ("MAINTAINERS", set()),
        ("ui/gtk.c", set()),
        ("target/arm/helper.c", set()),
        ("hw/arm/virt.c", set()),
        ("configs/devices/i386-softmmu/default.mak", {ANY}),
        ("configs/targets/x86_64-softmmu.mak", {ANY}),
        ("configs/devices/arm-softmmu/default.mak", set()),
    ],
)
def test_the_table_knows_the_tree(path: str, loads: set[str]) -> None:
    """What each part of QEMU can change."""
    assert loads_of(path) == loads


def test_every_rule_has_a_reason_and_says_what_it_means() -> None:
    """In words that a machine can have."""
    kinds = {"device", "property", "blockdev", "aio", "object", "accel"}
    for rule in rules():
        assert rule.paths and rule.reason and not rule.reason.endswith(".")
        assert all(load == ANY or load.split(":")[0] in kinds for load in rule.loads), rule
    assert len({path for rule in rules() for path in rule.paths}) == sum(len(rule.paths) for rule in rules())
