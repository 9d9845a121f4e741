"""Exports that entomologists use: pure writers from an iterable of rows to a folder."""
