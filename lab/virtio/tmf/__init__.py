"""The matrix of task management functions: what a binary answers, against what virtio and SAM ask for.

In the order in which data goes::

    case        one question: subtype, state of the tag and of the LUN, queue, mapping
    controller  a mapping by name -> IOThreads and properties of the controller, who should serve which queue
    plan        a case -> the commands that are in flight when the function is sent
    oracle      a case and its plan -> what the specifications allow
    witness     QEMU's trace -> which thread took what
    perform     a machine and a plan -> what happened
    watchdog    a machine that does not go on -> is it a hang, and the evidence for it
    judge       what was allowed and what happened -> verdict and reasons
    matrix      cases -> results, several machines at a time
    compare     results of two binaries -> the difference in words
    show        results -> table and JSON
"""
