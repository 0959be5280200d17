"""Tests of the settings: from TOML with mistakes in it to problems that name their place."""
