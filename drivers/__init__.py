"""Drivers: the hardware's side of the ports in gatewayd.domain.ports; they know the domain only."""
