"""Readers: adapters from a line and a codec to the Reader port."""
