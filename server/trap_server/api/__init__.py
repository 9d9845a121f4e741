"""The API, version 1: one module a subject, `access.py` for what all of them need."""
