"""Stored results to tables, pictures and text. Everything here can be made again from the results folder alone."""
