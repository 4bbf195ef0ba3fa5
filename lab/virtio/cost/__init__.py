"""Instructions per command of the request path, counted exactly by valgrind's callgrind: no guest, no hardware counter.

In the order of the data::

    operation    what is counted: four commands and the eight task management functions
    callgrind    a QEMU under callgrind, and one profile for each burst of operations
    profile      a profile as callgrind writes it, to instructions by function
    measure      bursts of two sizes to the cost of one operation more
    matrix       every operation and mapping of a binary, machines side by side
    compare      two binaries to what changed, and in which functions
    show         results as JSON and as text
"""
