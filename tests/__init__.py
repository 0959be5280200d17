"""Tests: a folder for each room of the house; `system` runs them all together."""
