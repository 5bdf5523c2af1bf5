"""How many files a process may have open: each connection is one, and many systems begin with a limit of 1,024."""

from __future__ import annotations

import logging
import resource

from modelwatch.cli.door import HARD_FACTOR

# The store, logs, notifications, modules that are being imported.
OTHERS = 256

log = logging.getLogger(__name__)


def allow_open_files(most_connections: int) -> None:
    """Raises the limit of this process, and of those that it starts, so that its connections fit, or says why not."""
    needed = HARD_FACTOR * most_connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < needed:
        log.warning(
            "MAX_CONNECTIONS is %d, for which a process needs %d open files, and it may have %d. Allow more"
            " (ulimit -Hn, LimitNOFILE), or set MAX_CONNECTIONS lower.",
            most_connections,
            needed,
            possible,
        )
