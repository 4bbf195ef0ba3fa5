"""The QEMU patch lab: does a patch series make QEMU's block I/O faster or slower, and does it still behave?"""

__version__ = "0.1.0"
