"""Questions to a gateway's files: why it decided so, and what it would decide. Reads only."""
