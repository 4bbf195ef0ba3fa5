"""A virtio-scsi driver of our own over QEMU's qtest protocol: no guest, no KVM, no root.

Bottom to top, each module usable and readable without the ones above it::

    guest_memory     a memfd that QEMU uses as RAM and Python maps
    qtest_client     one line per register access, over a socket
    pci              configuration space, capabilities, BARs
    virtio_pci       a modern virtio device: features, status, queues, notification
    virtqueue        a split virtqueue in guest memory
    scsi             CDBs and sense data
    virtio_scsi      requests and responses of virtio-scsi as bytes
    virtio_scsi_driver   commands, task management functions, asynchronous queries, events
    hold_server      the disk behind it: an NBD server that holds, releases, fails and logs each request
    bare_machine     words and firmware of every QEMU without a guest
    qtest_machine    the QEMU process that all of this talks to
    verdict, change  what came out of asking a binary, and what a second one changes

On top of them, ``lab.virtio.tmf`` is the matrix of task management functions, and ``lab.virtio.load`` a load without
a guest.
"""
