"""Tests of the trap agent."""
