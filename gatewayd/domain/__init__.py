"""The rules of access control: pure functions over frozen values, no I/O, no clock of their own."""
