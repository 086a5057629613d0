"""What looking for secrets costs: on ordinary text, and on 10 MB of texts made to be slow.

    .venv/bin/python benchmarks/redaction.py [megabytes]

Prints microseconds for what is usual, then seconds of CPU for each awkward text, the slowest first, and exits 1 when
one takes more than a second for 10 MB. CPU time of this thread is counted, the best of three.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from spanwise.content.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED: Final = 0.1
"""Seconds for each megabyte."""
PROSE: Final = (
    "The quarterly filings show that revenue grew by 12.4 percent, while operating costs rose slowly. Analysts expect "
    "the risk-adjusted return to stay near its long_term average; see section 4 of the 10-K for details. "
)
AWKWARD: Final = (
    "a", "4", "@", "-", "_", "-a", "k", "w", "%", "\x00", "\u00e9", "a@", "a.a@", "a@b.co ", "%40", "a%40", "\\n",
    "sk-", "sk- ", "sk-a", "eyJ", "eyJ-", "eyJaaaaaaaa.", "AKIA", "ghp_", "xoxb-", "SG.", "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----", "Bearer ", "bearer a", "key=", "key: ", "token: ", "token token", "password",
    "password=", "password: a", "secret: aaaaaaaaaaa ", "authorization: basic ", "://", "://a:", "://a:b", "&token=",
    "?aaaaaaaaaaaaaaaaaaaa", "4111 1111 1111 1111 ", "4111111111111112 ", "1234 ", "41111", "AKIA" + "Z" * 16 + " ",
    "://" + "a" * 127 + " ", "://u:" + "a" * 255 + " ", "a" * 63 + "@" + "b" * 63 + ".",
    PROSE, PROSE + "ada@example.com ",
)  # fmt: skip
"""What is repeated until the text is long enough."""


def cpu(work: Callable[[], object], times: int = 1) -> float:
    """Return the least CPU seconds of three that `work` takes, done `times` times over."""
    found: list[float] = []
    for _ in range(3):
        began = time.thread_time()
        for _ in range(times):
            work()
        found.append((time.thread_time() - began) / times)
    return min(found)


def main() -> int:
    """Measure and print; 1 where a text took too long."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    redactor = Redactor()
    prose = (PROSE * 10)[:2048]
    print(f"{cpu(lambda: redactor.text('invoke_agent risk'), 10_000) * 1e6:8.2f} us  a short text seen before")
    print(f"{cpu(lambda: redactor.text(prose), 200) * 1e6:8.2f} us  2 KB of prose")
    mail = f"{prose} ada@example.com"
    print(f"{cpu(lambda: redactor.text(mail), 200) * 1e6:8.2f} us  with an e-mail address")
    length = int(megabytes * 1e6)
    found: list[tuple[float, str]] = []
    for piece in AWKWARD:
        text = (piece * (length // len(piece) + 1))[:length]
        found.append((cpu(lambda text=text: redactor.text(text)), piece))  # type: ignore[misc]
    for seconds, piece in sorted(found, reverse=True):
        print(f"{seconds:8.3f} s   {megabytes:g} MB of {piece[:40]!r}")
    return int(max(found)[0] > ALLOWED * megabytes)


if __name__ == "__main__":
    sys.exit(main())
