"""Malformed requests: named ones with what may come of them, and any at all from a fuzzer."""
