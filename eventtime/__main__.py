"""`python -m eventtime`."""

import sys

from eventtime.cli.main import main

sys.exit(main())
