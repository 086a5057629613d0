"""The real servers on this machine: found or built, configured, started, watched and ended.

If Docker's daemon answers, the servers run in containers. Everywhere else the same servers run as plain processes,
from the same configuration files.
"""

from __future__ import annotations

from spanwise_cli.stack.catalogue import find, require
from spanwise_cli.stack.control import Running, running

__all__ = ["Running", "find", "require", "running"]
