"""Instructions per command of the request path, counted exactly by valgrind's callgrind: no guest, no hardware counter.

In the order of the data::

    operation    what is counted: four commands and the eight task management functions
    callgrind    a QEMU under callgrind, and one profile for each burst of operations
    profile      a profile as callgrind writes it, to instructions by function
    turns        bursts to what they would have cost at the same number of turns of the main loop
    measure      bursts of two sizes to the cost of one operation more
    workload     the machine and the workload of a job's cell to the cost of one of its commands
    matrix       every operation and mapping of a binary, machines side by side
    compare      two binaries to what changed, and in which functions
    show         results as JSON and as text
"""
