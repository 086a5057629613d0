"""The HTML report as a file: one that loads nothing, lets nothing in, stays small and is the same each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from support.profiles import DESK_PATH, SEQUENTIAL, desk_profile, desk_spans, profile
from support.traces import agent, chat, identifier, run_of, span, wait, workflow

from spanwise import conventions
from spanwise.journal.reader import LinkRecord
from spanwise_profiling.prices import Price, Prices
from spanwise_profiling.profile import BUCKETS, Evidence
from spanwise_profiling.render.html import data, report
from spanwise_profiling.render.html.strings import Strings, longest_that_fits
from spanwise_profiling.text import readable
from spanwise_profiling.usage import usage_of

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"&\u202e'


class _Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within in self.texts:
            self.texts[self._within].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


def stored(text: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


def visible(text: str) -> str:
    """Return what stands between the tags of the body, without data and script."""
    body = text.partition("<body>")[2].partition('<script type="application/json"')[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_same_profile_gives_the_same_bytes() -> None:
    assert report([desk_profile()]) == report([desk_profile()])


def test_nothing_in_the_page_refers_to_anything_outside_it() -> None:
    found = _Elements(report([desk_profile(), desk_profile()]))

    named = [
        value or "" for _, attributes in found.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(value.startswith("#") for value in named)
    assert not [tag for tag, _ in found.elements if tag in ("link", "img", "iframe", "object", "form", "base")]
    assert "@import" not in found.texts["style"][0]
    assert set(re.findall(r"url\([^)]*\)", found.texts["style"][0])) == {"url(#hatch)"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|eval|innerHTML)\b *\(?", found.texts["script"][1])


def test_the_policy_names_the_one_style_and_the_one_script_and_nothing_else() -> None:
    found = _Elements(report([desk_profile()]))
    [policy] = [a["content"] for tag, a in found.elements if a.get("http-equiv") == "Content-Security-Policy"]

    def hashed(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    script, style = hashed(found.texts["script"][1]), hashed(found.texts["style"][0])
    assert policy == (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert not [attributes for _, attributes in found.elements if "style" in attributes]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_hostile_text_adds_no_element_wherever_it_stands() -> None:
    tame = _Elements(report([_desk_called("harmless")]))
    found = _Elements(report([_desk_called(HOSTILE)]))

    assert [tag for tag, _ in found.elements] == [tag for tag, _ in tame.elements]
    assert "\u202e" not in report([_desk_called(HOSTILE)])


def _desk_called(name: str) -> Any:
    """Return a profile where every text that a recording holds is `name`."""
    spans = [
        workflow(1, 0, 6, name=name, attributes={conventions.RUN_VARIANT: name, conventions.RUN_ID: name}),
        agent(2, 0, 6, name=name, parent=1, error=name, message=name),
        chat(3, 0, 6, model=name, parent=2, attributes={name: name}),
    ]
    run = run_of(*(replace(record, resource={"service.name": name}) for record in spans))
    finding = replace(
        SEQUENTIAL,
        title=name,
        here=name,
        elsewhere=name,
        id=name,
        evidence=(Evidence(identifier(3), 1, name), Evidence(name, 0)),
    )
    made = profile(run, [(3, 0, 6, "model", "inferred")], findings=(finding,))
    return replace(made, warnings=(name,))


def test_a_thousand_spans_with_long_prompts_stay_below_a_megabyte() -> None:
    prompt = "<p>&" * 2_000
    calls = [
        chat(n, n, n + 1, parent=1, attributes={"gen_ai.input.messages": f"{n} {prompt}", "id": f"{n:032x}"})
        for n in range(2, 1_001)
    ]
    run = run_of(workflow(1, 0, 1_001), *calls)
    text = report([profile(run, [(n, n, n + 1, "model", "inferred") for n in range(2, 1_001)])])

    assert run.totals.spans == 1_000
    assert len(text.encode()) < 1_000_000


def test_a_text_that_was_cut_says_how_long_it_was() -> None:
    megabyte = "x" * 1_048_576
    run = run_of(workflow(1, 0, 1, attributes={"long": megabyte, "short": "kept whole"}))
    found = stored(report([profile(run, [(1, 0, 1, "unknown", "inferred")])]))

    [(number, length)] = found["cut"].items()
    assert length == len(megabyte)
    assert megabyte.startswith(found["strings"][int(number)])
    assert 100_000 < len(found["strings"][int(number)]) < 500_000
    assert "kept whole" in found["strings"]


def test_the_data_hold_every_span_and_the_whole_path() -> None:
    made = desk_profile()
    [run] = stored(report([made]))["runs"]

    assert len(run["start"]) == made.run.totals.lines == 14
    assert sum(length for _, _, length, _, _ in run["path"]) == made.run.duration_ns
    assert [BUCKETS[bucket] for _, _, _, bucket, _ in run["path"]] == [bucket for *_, bucket, _ in DESK_PATH]
    assert run["waits"] == [[5, 8]]


def test_a_wait_on_a_span_that_is_not_in_the_run_draws_no_edge() -> None:
    elsewhere = LinkRecord(identifier(9, 32), identifier(99), {conventions.LINK_REASON: "waits_on"})
    run = run_of(workflow(1, 0, 2), replace(wait(2, 0, 1, parent=1), links=(elsewhere,)))
    [found] = data.payload([profile(run, [(1, 0, 2, "unknown", "inferred")])])["runs"]

    assert found["waits"] == []
    assert list(found["links"]) == [1]


def test_numbers_that_json_lacks_are_shown_as_text() -> None:
    odd = {"nan": float("nan"), conventions.USAGE_INPUT_TOKENS: float("inf"), "bytes": b"\x00\xff", "list": ("a", 1)}
    run = run_of(workflow(1, 0, 1), chat(2, 0, 1, parent=1, attributes=odd))
    found = stored(report([profile(run, [(2, 0, 1, "model", "inferred")])]))

    assert {'"nan"', '"inf"', '"AP8="', '["a", 1]'} <= set(found["strings"])
    assert found["runs"][0]["tokens"] == {"1": [None, 20, None]}


def test_a_span_with_a_thousand_attributes_says_how_many_are_left_out() -> None:
    run = run_of(workflow(1, 0, 1, attributes={f"a{n}": "v" for n in range(1_000)}))
    found = stored(report([profile(run, [(1, 0, 1, "unknown", "inferred")])]))

    assert "and 938 more attributes, which are in the recording" in found["strings"]


def test_the_page_says_without_a_script_where_the_time_went_and_what_to_change() -> None:
    seen = visible(report([desk_profile()]))

    assert "trading/optimized run 7d1f" in seen
    assert "Model: not streamed model calls that came back in one piece &middot; model 86.00 s 71.7%" in seen
    assert f"{SEQUENTIAL.title} saves up to 38.00 s , 32% of the run" in seen
    assert "agent bull second 40.00 s on the path" in seen
    assert "bull Model: not streamed 78.00 s 65.0% 78.00 s 2 200 40" in seen


def test_two_runs_are_shown_beside_one_another_with_the_change() -> None:
    slower = desk_profile(run_id="ab12" * 8, trace=2, scale=40.0)
    seen = visible(report([desk_profile(), slower]))

    assert "Model: not streamed model calls that came back in one piece &middot; model 86.00 s 172.0 s +86.00 s" in seen
    assert "Duration A 120.0 s B 240.0 s" in seen
    assert "78.00 s 156.0 s +78.00 s 78.00 s &rarr; 156.0 s 2 &rarr; 2" in seen


def test_findings_keep_their_order_and_link_to_their_spans() -> None:
    small = replace(SEQUENTIAL, id="small", title="a small one", saves_ns=1)
    text = report([desk_profile(findings=(small, SEQUENTIAL))])

    assert text.index("a small one") < text.index(SEQUENTIAL.title)
    assert f'<a href="#A/{identifier(13)}"><bdi>agent bull</bdi></a>' in text


def test_models_and_calls_have_their_cost_and_an_unknown_one_is_no_zero() -> None:
    price = Price(since=date(2026, 1, 1), input=0.01, cached_input=None, output=0.02, source="a test")
    run = desk_profile().run
    known, unknown = (
        report([replace(desk_profile(), usage=usage_of(run, Prices("USD", entries)))])
        for entries in ({"sim-1": (price,)}, {})
    )

    assert "sim-1 5 400 0 80 0.6 - 5.60" in visible(known)
    assert stored(known)["runs"][0]["cost"] == {"6": 1.4, "8": 0.0, "9": 1.4, "11": 1.4, "13": 1.4}
    assert "sim-1 5 400 0 80 0.6 - unknown" in visible(unknown)
    assert set(stored(unknown)["runs"][0]["cost"].values()) == {None}


def test_without_findings_the_page_says_so() -> None:
    assert "Nothing to change was looked for." in visible(report([desk_profile(findings=())]))


def test_who_blocked_the_loop_is_named() -> None:
    blocked = replace(desk_profile(), blockers={identifier(4): 50_000_000, identifier(12): 10_000_000})

    assert "The event loop was blocked by tool prices 1.00 s chat sim-1 0.200 s" in visible(report([blocked]))


def test_roles_are_told_where_steps_have_them() -> None:
    shown = desk_profile()
    told = visible(report([replace(shown, roles=shown.agents[:1])]))

    assert "role of the step" in told
    assert "role of the step" not in visible(report([shown]))


def test_warnings_are_said_once() -> None:
    warned = replace(desk_profile(), warnings=("one span lost its parent", "one span lost its parent"))

    assert visible(report([warned])).count("one span lost its parent") == 1


def test_a_run_of_no_length_has_a_report() -> None:
    run = run_of(span(1, 0, 0))

    assert "0 s" in visible(report([profile(run, [])]))


@pytest.mark.parametrize("count", [0, 3])
def test_a_report_is_of_one_run_or_two(count: int) -> None:
    with pytest.raises(ValueError, match="one run or compares two"):
        report([desk_profile()] * count)


def test_a_deep_trace_has_a_report() -> None:
    spans = [span(n, 0, 10, parent=n - 1 or None) for n in range(1, 5_001)]
    run = run_of(*spans)
    [found] = data.payload([profile(run, [(1, 0, 10, "unknown", "inferred")])])["runs"]

    assert found["depth"][-1] == 4_999


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\t", "two\nlines\t"),
        ("שלום", "שלום"),
        ("a\u202eb\x1b[0m\x00", "a\\u202eb\\x1b[0m\\x00"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_what_is_invisible_or_turns_text_around_is_escaped(recorded: str, shown: str) -> None:
    assert readable(recorded) == shown


@pytest.mark.parametrize(
    ("sizes", "room", "longest"),
    [([], 10, 0), ([1, 2, 3], 6, 3), ([1, 9, 9], 11, 5), ([5, 5], 0, 0), ([1, 1, 100], 12, 10)],
)
def test_the_longest_texts_are_cut_to_one_length_that_fits(sizes: list[int], room: int, longest: int) -> None:
    assert longest_that_fits(sizes, room) == longest


def test_texts_are_numbered_once_in_the_order_they_are_met() -> None:
    strings = Strings()

    assert [strings.number(text) for text in ("a", "b", "a")] == [0, 1, 0]
    assert strings.table(100) == (["a", "b"], {})


def test_spans_of_many_scales_keep_recorded_nanoseconds() -> None:
    [run] = stored(report([desk_profile(scale=20.0)]))["runs"]

    assert (run["scale"], run["duration"], run["start"][1], run["length"][1]) == (20.0, 6_000_000_000, 0, 200_000_000)
    assert [record.span_id for record in desk_spans()][:1] == [identifier(1)]
