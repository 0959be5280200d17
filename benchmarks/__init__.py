"""Figures beside floors measured in the same run; `make bench` prints them as a table."""
