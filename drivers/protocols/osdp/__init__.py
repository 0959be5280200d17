"""OSDP 2.2 as a panel speaks it: frames, commands, replies, secure channel, session. No I/O."""
