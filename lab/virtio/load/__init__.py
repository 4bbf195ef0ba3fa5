"""A virtio-scsi load without a guest: QEMU is kept busy by drivers of our own, one process for each virtqueue.

Bottom to top::

    workload      what a driver asks for: READs or WRITEs, of which size, how many at a time
    ring          a virtqueue whose chains are prepared once and used again and again, in batches (numpy)
    layout        where all of that is in guest memory
    control       the words of shared memory through which the lab starts, watches and stops a driver
    kicks         the qtest socket as a doorbell that several processes may ring
    driver        the program of a driver process
    machine       the QEMU, and a controller that is up with nobody driving it yet
    measure       drivers started, watched over a steady window, stopped, and what came of it
"""
