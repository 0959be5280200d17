"""The guards' console and API."""
