"""Machines: a typed specification to an argv, to a process, to a guest that answers."""
