"""Deployment: the demo on one machine, broker configuration, and the field's tools."""
