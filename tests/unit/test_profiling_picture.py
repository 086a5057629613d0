from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from support.traces import agent, cache_lookup, chat, run_of, span, tool, wait, workflow

from spanwise import conventions as c
from spanwise_profiling.render.picture import picture
from spanwise_profiling.render.svg import DARK, LIGHT, WIDTH, Theme

if TYPE_CHECKING:
    from spanwise_profiling.runs import Run

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert(1)</script>&"\x1b[2J\n\u202e'


def desk(variant: str, seconds: float, *, scale: float = 1.0, name: str = "risk", error: str | None = None) -> Run:
    """A run of one agent that waits for the first half and calls in the second."""
    return run_of(
        workflow(1, 0, seconds, attributes={c.RUN_VARIANT: variant, c.QUALITY_GRADE: "A+"}, scale=scale),
        agent(2, 0, seconds, name=name, parent=1, error=error),
        wait(3, 0, seconds / 2, parent=2),
        chat(4, seconds / 2, seconds, parent=2),
        cache_lookup(5, 0, 0.001, parent=2),
    )


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def bars(svg: str, fill: str) -> list[tuple[float, float]]:
    found = ET.fromstring(svg).iter(f"{SVG}rect")
    return [(float(e.get("x", "0")), float(e.get("width", "0"))) for e in found if e.get("fill") == fill]


def test_a_run_that_takes_half_as_long_is_half_as_wide() -> None:
    assert bars(picture([desk("slow", 100), desk("fast", 50)]), LIGHT.extent) == [(190.0, 590.0), (190.0, 295.0)]


def test_runs_recorded_at_different_speeds_share_one_axis() -> None:
    runs = [desk("real", 100), desk("fast forward", 5, scale=20)]
    assert bars(picture(runs), LIGHT.extent) == [(190.0, 590.0)] * 2


def test_calls_and_waits_stand_where_they_happened() -> None:
    svg = picture([desk("slow", 100)])
    assert bars(svg, LIGHT.model)[0] == (485.0, 294.5)
    assert bars(svg, "url(#wait)")[0] == (190.0, 294.5)
    assert bars(svg, LIGHT.span)[0] == (190.0, 589.5)


def test_a_picture_says_which_run_how_long_and_at_what_cost() -> None:
    assert texts(picture([desk("slow", 100), desk("fast", 50)], target=80)) == [
        "0 s", "15 s", "30 s", "45 s", "60 s", "75 s", "90 s", "target 80 s",
        "slow", "120 tokens, 1 model call, 1/1 cache hits, grade A+", "100.0 s", "risk", "100.0 s",
        "fast", "120 tokens, 1 model call, 1/1 cache hits, grade A+", "50.00 s", "risk", "50.00 s",
        "model call", "tool", "wait", "agent or step between calls",
    ]  # fmt: skip


def test_a_target_beyond_the_longest_run_widens_the_axis() -> None:
    assert bars(picture([desk("only", 60)], target=120), LIGHT.extent) == [(190.0, 295.0)]


def test_an_error_has_its_sign_besides_its_colour() -> None:
    assert "✗ risk" in texts(picture([desk("broken", 10, error="ValueError")]))


def test_names_from_a_trace_cannot_become_markup() -> None:
    svg = picture([desk(HOSTILE, 10, name=HOSTILE)])
    assert "<script" not in svg
    assert re.search("[\x00-\x09\x0b-\x1f\u202e]", svg) is None
    assert r"</text><script>alert(1)…" in texts(svg)


def test_a_long_name_is_cut() -> None:
    assert f"{'n' * 23}…" in texts(picture([desk("x", 10, name="n" * 40)]))


def test_a_run_of_no_duration_and_one_without_agents_are_drawn() -> None:
    nothing = run_of(span(1, 0, 0))
    plain = run_of(workflow(1, 0, 2), tool(2, 0, 1, parent=1))
    assert bars(picture([nothing]), LIGHT.extent) == [(190.0, 0.0)]
    assert bars(picture([plain]), LIGHT.tool)[0] == (190.0, 294.5)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_picture_needs_nothing_from_elsewhere(theme: Theme) -> None:
    svg = picture([desk("slow", 100)], theme)
    assert "://" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert ET.fromstring(svg).get("width") == str(WIDTH)
    assert f'fill="{theme.background}"' in svg


def test_a_week_has_few_ticks() -> None:
    assert [text for text in texts(picture([desk("long", 604800)])) if text.endswith("0 s")][:3] == [
        "0 s", "86400 s", "172800 s",
    ]  # fmt: skip
