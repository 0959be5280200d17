"""A door controller that is no part of gatewayd: docs/guide/write-a-driver.md explains it."""
