"""Experiments: a job file to cells, to a schedule, to runs, to a results folder."""
