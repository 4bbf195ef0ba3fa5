"""Races: seeded schedules of commands, functions and QMP operations, and what comes of them."""
