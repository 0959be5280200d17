"""`python -m gatewayd` is the command `gatewayd`. Owns nothing else."""

import sys

from gatewayd.cli import main

sys.exit(main())
