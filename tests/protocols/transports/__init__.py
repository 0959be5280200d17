"""Adapters of drivers on real lines: ptys, TCP, RFC 2217."""
