"""The file as a whole: head, sections, data and script, under a policy that lets nothing else in.

The content security policy names the one style sheet and the one script by their hashes and forbids everything else,
network included; with trusted types no text can become markup even by a mistake in the script. The page holds no
time of its making, so the same profile gives the same bytes. Summary, budget, findings and agents are plain HTML that
can be read without a script; the script draws the timeline and lists the calls.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

from spanwise_profiling.render.html import data, palette, sections
from spanwise_profiling.render.html.comparison import section as comparison_section
from spanwise_profiling.render.html.markup import escaped
from spanwise_profiling.render.html.shells import asset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.comparison.result import Comparison
    from spanwise_profiling.profile import Profile

_MOST_RUNS: Final = 2
_SCRIPTS: Final = (
    "format.js", "model.js", "colours.js", "axis.js", "rows.js", "bars.js", "edges.js", "names.js", "overview.js",
    "search.js", "messages.js", "details.js", "track.js", "keys.js", "calls.js", "main.js",
)  # fmt: skip
"""In the order in which they stand in the page, as one program."""


def report(profiles: Sequence[Profile], comparison: Comparison | None = None) -> str:
    """Return one or two profiles as one self-contained HTML file; two are compared, the second with the first.

    Args:
        profiles: of one run or two.
        comparison: of the populations that two runs are typical of, to be shown above them.

    Raises:
        ValueError: neither one nor two are given.
    """
    if not 1 <= len(profiles) <= _MOST_RUNS:
        raise ValueError(f"a report shows one run or compares two; {len(profiles)} were given")
    style, script = style_text(), script_text()
    lead = "" if comparison is None else comparison_section(comparison)
    title = escaped(" and ".join(profile.run.title for profile in profiles))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}: spanwise profile</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{sections.body(profiles, lead)}\n"
        f'<script type="application/json" id="data">{data.script_text(data.payload(profiles))}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def style_text() -> str:
    """Return the style sheet of every report."""
    return palette.stylesheet() + "\n" + asset("report.css")


@cache
def script_text() -> str:
    """Return the script of every report: the files in `assets/`, one after the other in a function of their own."""
    return '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in _SCRIPTS) + "\n})();\n"


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
