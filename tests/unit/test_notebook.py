"""What a notebook shows of a run and of its profile."""

from __future__ import annotations

from html import unescape

from support.profiles import desk_profile
from support.screens import printed, screen
from support.traces import run_of, workflow

from spanwise_profiling.render.timeline import timeline


def content(shown: str) -> str:
    assert shown.startswith("<pre style=")
    assert shown.endswith("</pre>")
    return unescape(shown.partition(">")[2].removesuffix("</pre>"))


def test_a_profile_shows_its_first_screen_and_is_short_in_text() -> None:
    desk = desk_profile()
    assert content(desk._repr_html_()) + "\n" == screen(desk, 100)
    assert repr(desk) == "<Profile trading/optimized 120 s, 1 findings>"


def test_a_run_shows_its_tree_and_is_short_in_text() -> None:
    run = desk_profile().run
    assert content(run._repr_html_()).endswith(printed([timeline(run, 100)], 100).rstrip("\n"))
    assert repr(run) == "<Run trading/optimized 120 s, 14 spans>"


def test_nothing_recorded_is_markup_in_a_notebook() -> None:
    run = run_of(workflow(1, 0, 2, name="<script>alert(1)</script>"))
    assert "<script>" not in run._repr_html_()
    assert "&lt;script&gt;" in run._repr_html_()
