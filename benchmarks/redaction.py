"""What looking for secrets costs: on ordinary text, on texts made to be slow, and on mixtures of their pieces.

    .venv/bin/python benchmarks/redaction.py [megabytes [mixtures [seed]]]

Prints microseconds for what is usual, then seconds of CPU for 10 MB of each awkward text, the slowest first, then the
same for the slowest of 300 random mixtures (0.5 MB each, counted up to 10). Exits 1 when one takes more than a second
for 10 MB. CPU time of this thread is counted, the best of three.
"""

from __future__ import annotations

import random
import statistics
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
    "pwd=abc&", "pwd=abc&a@b.co ", "pwd=abc 4222222222222 a@b.co ", "4222222222222 ", "://a:b@", "secret_access_key=",
    "pwd:", "pwd:" * 15 + "\u0436", "skey=",
    "://" + "a" * 127 + " ", "://u:" + "a" * 255 + " ", "a" * 63 + "@" + "b" * 63 + ".",
    PROSE, PROSE + "ada@example.com ",
)  # fmt: skip
"""What is repeated until the text is long enough."""
BEGINNINGS: Final = (
    "sk-ant-", "sk-or-", "sk-proj-", "sk_live_", "rk_live_", "r8_", "whsec_", "ABSK", "ya29.", "GOCSPX-", "github_pat_",
    "glpat-", "gsk_", "glsa_", "xapp-1-", "xai-", "hf_", "hvs.", "lsv2_pt_", "lin_api_", "pplx-", "pcsk_", "pypi-AgE",
    "pa-", "nvapi-", "npm_", "ntn_", "tvly-", "csk-", "dapi0", "dop_v1_", "fw_", "e2b_", "pwd=", "pwd=abc&", "pwd:",
    "passwd:", "secret=", "secret_access_key=", "skey=", "api_key=", "token=", "authorization: ", "//", "//a:", "://a:b@",
    "?token=", "?key=aaaaa", "services/T", "git@", ".png", "a.b.c.d.", "1.2.3.", "T3BlbkFJ", "PRIVATE KEY",
    "4222222222222 ", "None", "[redacted", "\\", "'", '"', "=", ":", ",", " ", "&", "?", "/", ".", "+", "\u3000", "1",
    "5", "c", "z", "aaaaaaaaaaaa",
)  # fmt: skip
"""What a search has to look at twice: the beginnings of all that is found, and what stands around it."""


def cpu(work: Callable[[], object], times: int = 1) -> float:
    """Return the least CPU seconds of three that `work` takes, done `times` times over."""
    found: list[float] = []
    for _ in range(3):
        began = time.thread_time()
        for _ in range(times):
            work()
        found.append((time.thread_time() - began) / times)
    return min(found)


def mixture(draw: random.Random, length: int) -> str:
    """Return a text of up to a dozen pieces: in turn, at random, or each many times over."""
    pieces = draw.sample((*AWKWARD, *BEGINNINGS), draw.choice((1, 2, 2, 3, 3, 4, 5, 6, 8, 12)))
    order = draw.choice(("in turn", "at random", "many times"))
    if order == "at random":
        pieces = draw.choices(pieces, k=20_000)
    elif order == "many times":
        pieces = [piece * draw.choice((1, 2, 3, 10, 30, 64, 300)) for piece in draw.choices(pieces, k=2 * len(pieces))]
    text = "".join(pieces)
    return (text * (length // len(text) + 1))[:length]


def slowest_mixtures(redactor: Redactor, mixtures: int, seed: int) -> list[tuple[float, str]]:
    """Return what 10 MB of each random mixture take, in seconds, the slowest first, and how it begins."""
    draw = random.Random(seed)
    texts = [mixture(draw, 500_000) for _ in range(mixtures)]
    found = [cpu(lambda text=text: redactor.text(text)) for text in texts]  # type: ignore[misc]
    order = sorted(range(mixtures), key=lambda index: found[index], reverse=True)
    for index in order[: mixtures // 10]:  # once more: what looks slow may have met other work of the machine
        text = texts[index]
        found[index] = min(found[index], cpu(lambda text=text: redactor.text(text)))  # type: ignore[misc]
    return sorted(((20 * seconds, text[:60]) for seconds, text in zip(found, texts, strict=True)), reverse=True)


def main() -> int:
    """Measure and print; 1 where a text took too long."""
    megabytes, mixtures, seed = (float(given) for given in (*sys.argv[1:], *("10", "300", "1")[len(sys.argv) - 1 :]))
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
    mixed = slowest_mixtures(redactor, int(mixtures), int(seed))
    print(f"{statistics.median(seconds for seconds, _ in mixed):8.3f} s   10 MB of the median of {len(mixed)} mixtures")
    for seconds, beginning in mixed[:5]:
        print(f"{seconds:8.3f} s   10 MB of a mixture that begins {beginning!r}")
    return int(max(found)[0] > ALLOWED * megabytes or mixed[0][0] > ALLOWED * 10)


if __name__ == "__main__":
    sys.exit(main())
