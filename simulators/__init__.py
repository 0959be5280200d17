"""Simulated devices and centre for demos and tests; nothing in production imports this."""
