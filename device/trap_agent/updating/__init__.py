"""Bundles that the collector wishes: fetched, checked, put on trial, and reported."""
