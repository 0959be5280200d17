"""`gatewayd osdp …`: what an installer does to OSDP lines from the command line."""
