"""Whatever a recording holds, every report of it is made, and holds nothing that acts on a terminal."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.traces import agent, cache_lookup, chat, run_of, span, step, tool, wait, workflow

from spanwise_profiling.populations import population_of
from spanwise_profiling.profiled import profiled
from spanwise_profiling.render.glyphs import ASCII, UNICODE
from spanwise_profiling.render.html import report
from spanwise_profiling.render.markdown import markdown_report
from spanwise_profiling.render.path_picture import path_picture
from spanwise_profiling.render.perfetto import perfetto_trace
from spanwise_profiling.render.plain import plain_report
from spanwise_profiling.render.population import plain_population, population_document
from spanwise_profiling.render.profile_document import profile_document
from spanwise_profiling.render.report import profile_report
from spanwise_profiling.render.speedscope import speedscope_document

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile

KINDS = (agent, chat, tool, cache_lookup, wait, step, span)
NAMES = st.text(max_size=12) | st.sampled_from(["</script>", "|`*_[x](y)", "@bob #1", "\x1b[2J", "\u202e"])
SHAPES = st.lists(
    st.tuples(
        st.integers(0, len(KINDS) - 1), st.integers(-3, 30), st.integers(-5, 20), st.integers(-5, 20), NAMES,
        st.booleans(),
    ),
    max_size=14,
)  # fmt: skip
"""Kind, parent (below 0: none, or one that is not recorded), start, length, name, failed."""


def spans_of(shape: list[tuple[int, int, int, int, str, bool]], *, is_ours: bool) -> list[SpanRecord]:
    made = [workflow(1, 0, 10) if is_ours else chat(1, 0, 10)]
    for number, (kind, parent, start, length, name, failed) in enumerate(shape, start=2):
        above = {-1: None, -2: 999}.get(parent, max(1, parent % number))
        named: dict[str, Any] = {} if KINDS[kind] in (chat, cache_lookup, wait) else {"name": name}
        error = name or "error" if failed else None
        made.append(KINDS[kind](number, start, start + length, parent=above, error=error, message=name, **named))
    return made


def reports(profile: Profile) -> list[str]:
    stream = StringIO()
    out = Console(file=stream, width=80, color_system=None, highlight=False)
    for glyphs in (UNICODE, ASCII):
        for part in profile_report(profile, 80, glyphs=glyphs):
            out.print(part, soft_wrap=True)
    return [stream.getvalue(), plain_report(profile), markdown_report([profile]), path_picture(profile)]


@settings(max_examples=15, deadline=None)
@given(SHAPES, st.booleans())
def test_every_report_of_anything_is_made_and_is_safe(
    shape: list[tuple[int, int, int, int, str, bool]], is_ours: bool,  # noqa: FBT001 - hypothesis gives it by place
) -> None:  # fmt: skip
    run = run_of(*spans_of(shape, is_ours=is_ours))
    (profile,) = profiled([run])
    for text in reports(profile):
        assert not set(text) & {"\x1b", "\u202e", "\x00"}
    (document,) = profile_document([profile])["runs"]
    assert sum(document["budget_ns"].values()) == run.duration_ns
    json.dumps([document, speedscope_document([profile])], allow_nan=False)
    assert perfetto_trace([profile])
    assert report([profile])
    many = population_of([profile] * 3)
    json.dumps(population_document(many, [profile] * 3), allow_nan=False)
    assert plain_population(many, [profile] * 3)
