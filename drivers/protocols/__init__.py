"""Sans-IO codecs: bytes to events and back; no I/O, no clock."""
