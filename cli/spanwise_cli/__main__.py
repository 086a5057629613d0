"""`python -m spanwise_cli` is `spanwise`."""

from __future__ import annotations

import sys

from spanwise_cli.entry import main

sys.exit(main())
