"""Tests; CONTRIBUTING notes are in docs/design/architecture.md."""
