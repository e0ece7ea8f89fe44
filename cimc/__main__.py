"""``python -m cimc``: the same as the command ``cimc``."""

import sys

from cimc.cli.main import main

sys.exit(main())
