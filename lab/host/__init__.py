"""The machine that measures: what it is, what it lacks, which accelerator really works on it."""
