"""Run records to samples, to comparisons, to verdicts: reads stored files and starts nothing."""
