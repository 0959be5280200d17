"""gatewayd: the access-control gateway of a residential compound. docs/design says why."""

__version__ = "0.1.0"
