"""`python -m starwise` is the `starwise` command."""

import sys

from starwise.cli import main

sys.exit(main())
