"""Tests of the path, the doors, the alarm desk and what keeps them going."""
