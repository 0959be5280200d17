"""What an installer does to an OSDP line by hand: scan, listen, read and replay captures."""
