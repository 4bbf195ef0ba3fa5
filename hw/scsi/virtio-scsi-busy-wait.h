/*
 * A known slowdown of virtio-scsi, for testing benchmarks
 *
 * Copyright (c) 2026 QEMU patch lab contributors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_SCSI_VIRTIO_SCSI_BUSY_WAIT_H
#define HW_SCSI_VIRTIO_SCSI_BUSY_WAIT_H

#define VIRTIO_SCSI_BUSY_WAIT_NS (250 * 1000)

static inline int64_t virtio_scsi_thread_cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/*
 * Spend CPU time of the calling thread. Wall-clock time would pass while the
 * thread is preempted too, and on a busy host cost less than it says.
 */
static inline void virtio_scsi_busy_wait(void)
{
    int64_t end = virtio_scsi_thread_cpu_ns() + VIRTIO_SCSI_BUSY_WAIT_NS;

    while (virtio_scsi_thread_cpu_ns() < end) {
        /* the point is to do nothing */
    }
}

#endif
