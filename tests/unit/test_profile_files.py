"""A profile as data: the JSON document, and files for speedscope and Perfetto, checked against their own schemas."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profiles import desk_profile, desk_spans, profile
from support.traces import BEGIN_NS, agent, chat, identifier, run_of, span, workflow

from spanwise import conventions as c
from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.render.markdown import markdown_report
from spanwise_profiling.render.perfetto import perfetto_trace
from spanwise_profiling.render.profile_document import profile_document
from spanwise_profiling.render.speedscope import speedscope_document
from spanwise_profiling.render.tracks import tracks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_profiling.profile import Profile

# What https://www.speedscope.app/file-format-schema.json says of a file with evented profiles.


class Frame(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Shared(msgspec.Struct, forbid_unknown_fields=True):
    frames: list[Frame]


class Event(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["O", "C"]
    at: float
    frame: int


class Evented(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    type: Literal["evented"]
    name: str
    unit: Literal["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"]
    start_value: float
    end_value: float
    events: list[Event]


class SpeedscopeFile(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    schema: Literal["https://www.speedscope.app/file-format-schema.json"] = msgspec.field(name="$schema")
    shared: Shared
    profiles: list[Evented]
    name: str
    active_profile_index: int
    exporter: str


def speedscope(*profiles: Profile) -> SpeedscopeFile:
    text = json.dumps(speedscope_document(profiles), allow_nan=False)
    return msgspec.json.decode(text, type=SpeedscopeFile)


def spans_of(file: SpeedscopeFile, chart: Evented) -> list[tuple[int, str, float, float]]:
    """Depth, name, start and end of what a chart shows; events must come in order and each frame be closed."""
    found: list[tuple[int, str, float, float]] = []
    opened: list[Event] = []
    last = chart.start_value
    for event in chart.events:
        assert last <= event.at <= chart.end_value
        last = event.at
        if event.type == "O":
            opened.append(event)
        else:
            begin = opened.pop()
            assert begin.frame == event.frame
            found.append((len(opened), file.shared.frames[event.frame].name, begin.at, event.at))
    assert opened == []
    return sorted(found, key=lambda item: (item[2], item[0]))


# The messages of perfetto.protos that are written, by the numbers of protos/perfetto/trace.


def field(name: str, number: int, kind: str, *, many: bool = False) -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
    simple = {
        "string": FieldDescriptorProto.TYPE_STRING,
        "uint64": FieldDescriptorProto.TYPE_UINT64,
        "uint32": FieldDescriptorProto.TYPE_UINT32,
        "int32": FieldDescriptorProto.TYPE_INT32,
    }
    if kind in simple:
        return FieldDescriptorProto(name=name, number=number, type=simple[kind], label=label)
    message = FieldDescriptorProto.TYPE_MESSAGE
    return FieldDescriptorProto(name=name, number=number, type=message, type_name=f".p.{kind}", label=label)


PERFETTO = {
    "Trace": [field("packet", 1, "TracePacket", many=True)],
    "TracePacket": [
        field("timestamp", 8, "uint64"), field("trusted_packet_sequence_id", 10, "uint32"),
        field("track_event", 11, "TrackEvent"), field("sequence_flags", 13, "uint32"),
        field("track_descriptor", 60, "TrackDescriptor"),
    ],
    "TrackDescriptor": [
        field("uuid", 1, "uint64"), field("name", 2, "string"), field("parent_uuid", 5, "uint64"),
        field("child_ordering", 11, "int32"), field("sibling_order_rank", 12, "int32"),
    ],
    "TrackEvent": [
        field("debug_annotations", 4, "DebugAnnotation", many=True), field("type", 9, "int32"),
        field("track_uuid", 11, "uint64"), field("categories", 22, "string", many=True), field("name", 23, "string"),
    ],
    "DebugAnnotation": [field("string_value", 6, "string"), field("name", 10, "string")],
}  # fmt: skip


def perfetto(*profiles: Profile) -> list[dict[str, Any]]:
    """The packets of a trace; no field may be unknown."""
    file = FileDescriptorProto(name="p.proto", package="p", syntax="proto2")
    for name, fields in PERFETTO.items():
        file.message_type.add(name=name, field=fields)
    pool = DescriptorPool()
    pool.Add(file)
    message = GetMessageClass(pool.FindMessageTypeByName("p.Trace"))()
    message.ParseFromString(perfetto_trace(profiles))
    assert_known(message)
    packets: list[dict[str, Any]] = MessageToDict(message, preserving_proto_field_name=True)["packet"]
    return packets


def assert_known(message: Any) -> None:
    assert len(UnknownFieldSet(message)) == 0
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            members: list[Any] = list(value) if hasattr(value, "append") else [value]
            for member in members:
                assert_known(member)


def slices(packets: list[dict[str, Any]]) -> dict[str, list[tuple[int, str, int, int]]]:
    """By name of a track: depth, name, start and end of its slices; every one must be closed, in order of time."""
    names = {d["uuid"]: d["name"] for packet in packets if (d := packet.get("track_descriptor"))}
    found: dict[str, list[tuple[int, str, int, int]]] = {name: [] for name in names.values()}
    opened: dict[str, list[tuple[str, int]]] = {name: [] for name in names.values()}
    last: dict[str, int] = {}
    for packet in packets:
        if event := packet.get("track_event"):
            track, at = names[event["track_uuid"]], int(packet["timestamp"])
            assert at >= last.get(track, 0)
            last[track] = at
            if event["type"] == 1:
                opened[track].append((event["name"], at))
            else:
                name, begin = opened[track].pop()
                found[track].append((len(opened[track]), name, begin, at))
    assert not any(opened.values())
    return {track: sorted(members, key=lambda item: (item[2], item[0])) for track, members in found.items()}


def test_the_document_holds_path_budget_agents_and_findings() -> None:
    document = profile_document([desk_profile()], ["a warning"])
    (run,) = document["runs"]
    assert (document["schema"], document["warnings"]) == ("spanwise.profile/1", ["a warning"])
    assert (run["run_id"], run["trace_ids"]) == ("7d1f" * 8, [identifier(1, 32)])
    assert (run["duration_s"], run["scale"]) == (120.0, 20.0)
    assert (run["work_s"], run["parallelism"]) == (143.02, pytest.approx(143.02 / 120))
    assert run["critical_path"][1] == {
        "span_id": identifier(9),
        "name": "chat sim-1",
        "kind": "chat",
        "agent": "news_analyst",
        "start_s": 4.0,
        "end_s": 12.0,
        "bucket": "model",
        "edge": "observed",
        "certainty": "observed",
        "doubt_s": 0.0,
        "overlap": False,
    }
    assert run["agents"][1] == {
        "name": "market_analyst",
        "on_path_s": 30.0,
        "total_s": 38.0,
        "budget": {"model_prefill": 6.0, "model_decode": 24.0},
        "calls": 1,
        "tokens": {"input": 100, "output": 20, "total": 120},
        "writes": {"batches": 0, "files": 0},
    }
    assert run["findings"] == [
        {
            "id": "sequential-calls",
            "title": "Let bull work once on both inputs",
            "why": "It worked twice, one after the other, though neither needs the other.",
            "fix": "asyncio.gather(first(), second())",
            "evidence": [
                {"span_id": identifier(13), "on_path_s": 40.0, "note": "second"},
                {"span_id": identifier(11), "on_path_s": 38.0, "note": "first"},
            ],
            "confidence": "high",
            "here": "give both steps the same inputs, so that the flow starts them together",
            "elsewhere": "await them together: asyncio.gather(first(), second())",
            "saves_s": 38.0,
        }
    ]
    json.dumps(document, allow_nan=False)


def test_a_run_over_several_traces_names_them_all() -> None:
    resumed = {c.RUN_ID: "review-7"}
    run = run_of(workflow(1, 0, 2, attributes=resumed), workflow(1, 5, 6, trace=2, attributes=resumed))
    (told,) = profile_document([profile(run, [])])["runs"]
    assert (told["run_id"], told["trace_ids"]) == ("review-7", [identifier(1, 32), identifier(2, 32)])


def test_the_document_s_path_and_budget_add_up_to_the_run() -> None:
    (run,) = profile_document([desk_profile()])["runs"]
    ends = [segment["end_s"] for segment in run["critical_path"]]
    assert [segment["start_s"] for segment in run["critical_path"]] == [0.0, *ends[:-1]]
    assert ends[-1] == run["duration_s"] == sum(run["budget"].values())
    assert set(run["budget_ns"]) == set(run["budget"]) == set(BUCKETS)
    assert sum(run["budget_ns"].values()) == 6_000_000_000


def test_every_report_of_the_same_spans_is_the_same_in_whatever_order_they_came() -> None:
    def made(seed: int) -> list[Any]:
        spans = desk_spans()
        random.Random(seed).shuffle(spans)
        shown = profile(run_of(*spans), [(1, 0, 6, "unknown", "inferred")])
        shown = replace(shown, slack_ns=dict(random.Random(seed).sample(list(shown.slack_ns.items()), 14)))
        reports = (json.dumps(profile_document([shown])), json.dumps(speedscope_document([shown])))
        return [*reports, markdown_report([shown]), perfetto_trace([shown])]

    assert made(1) == made(2) == made(3)


def test_speedscope_is_given_the_path_first_and_then_each_track() -> None:
    file = speedscope(desk_profile())
    assert [chart.name for chart in file.profiles] == [
        "trading/optimized: critical path",
        "trading/optimized: track 1, workflow trading",
        "trading/optimized: track 2, agent news_analyst",
    ]
    assert [(item[1], item[2], item[3]) for item in spans_of(file, file.profiles[0]) if item[1] in BUCKETS] == [
        ("coordination", 0.0, 4.0),
        ("model", 4.0, 12.0),
        ("model_prefill", 12.0, 18.0),
        ("model_decode", 18.0, 42.0),
        ("model", 42.0, 80.0),
        ("model", 80.0, 120.0),
    ]
    assert spans_of(file, file.profiles[2]) == [
        (0, "agent news_analyst", 4.0, 30.0),
        (1, "chat sim-1", 4.0, 14.0),
        (1, "chat sim-1", 16.0, 30.0),
    ]


def test_the_stack_of_the_path_is_what_is_above_the_span_waited_for() -> None:
    file = speedscope(desk_profile())
    stack = [item[1] for item in spans_of(file, file.profiles[0]) if item[2] <= 20.0 < item[3]]
    assert stack == ["workflow trading", "agent market_analyst", "chat sim-1", "model_decode"]


def test_perfetto_is_given_the_path_first_and_then_each_track_in_scaled_nanoseconds() -> None:
    packets = perfetto(desk_profile())
    descriptors = [packet["track_descriptor"] for packet in packets if "track_descriptor" in packet]
    assert [track["name"] for track in descriptors] == [
        f"trading/optimized, run {'7d1f' * 8}",
        "critical path",
        "track 1: workflow trading",
        "track 2: agent news_analyst",
    ]
    assert [track.get("parent_uuid") for track in descriptors] == [None, *[descriptors[0]["uuid"]] * 3]
    by_track = slices(packets)
    assert [(name, (end - begin) // 10**9) for _, name, begin, end in by_track["critical path"]] == [
        ("step dispatch", 4), ("chat sim-1", 8), ("chat sim-1", 6), ("chat sim-1", 24), ("chat sim-1", 38),
        ("chat sim-1", 40),
    ]  # fmt: skip
    assert by_track["track 2: agent news_analyst"] == [
        (0, "agent news_analyst", BEGIN_NS + 4 * 10**9, BEGIN_NS + 30 * 10**9),
        (1, "chat sim-1", BEGIN_NS + 4 * 10**9, BEGIN_NS + 14 * 10**9),
        (1, "chat sim-1", BEGIN_NS + 16 * 10**9, BEGIN_NS + 30 * 10**9),
    ]


def test_a_slice_says_which_bucket_it_is_in_and_which_span_it_is() -> None:
    events = [packet["track_event"] for packet in perfetto(desk_profile()) if "track_event" in packet]
    assert {note["name"]: note["string_value"] for note in events[2]["debug_annotations"]} == {
        "bucket": "model",
        "edge": "observed",
        "agent": "news_analyst",
        "span_id": identifier(9),
    }
    (failed,) = [event for event in events if event.get("name") == "agent bull" and "ValueError" in str(event)]
    assert failed["debug_annotations"][1] == {"name": "error", "string_value": "ValueError"}


def test_several_runs_are_in_one_file() -> None:
    both = (desk_profile(), desk_profile(run_id="other", trace=2))
    assert len(speedscope(*both).profiles) == 6
    assert len({p["track_descriptor"]["uuid"] for p in perfetto(*both) if "track_descriptor" in p}) == 8
    assert [run["run_id"] for run in profile_document(both)["runs"]] == ["7d1f" * 8, "other"]


def test_control_characters_of_names_are_shown_escaped_in_files_too() -> None:
    shown = profile(run_of(workflow(1, 0, 1, name="a\x00\x1b\u202e")), [(1, 0, 1, "unknown", "inferred")])
    assert speedscope(shown).shared.frames[0].name == "workflow a\\x00\\x1b\\u202e"
    assert slices(perfetto(shown))["critical path"][0][1] == "workflow a\\x00\\x1b\\u202e"


@pytest.mark.slow
def test_a_deep_run_and_a_wide_one_are_written_in_little_time() -> None:
    deep = run_of(workflow(1, 0, 1), *(span(n, 0, 1, parent=n - 1) for n in range(2, 10_001)))
    wide = run_of(workflow(1, 0, 1), *(agent(n, 0, 1, parent=1) for n in range(2, 4_001)))
    for run in (deep, wide):
        shown = profile(run, [(2, 0, 0.5, "unknown", "inferred"), (3_000, 0.5, 1, "unknown", "inferred")])
        file = speedscope(shown)
        assert len(perfetto_trace([shown])) > 100_000
        assert sum(len(spans_of(file, chart)) for chart in file.profiles[1:]) == run.totals.lines


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(0, 20)),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_spans_on_a_track_nest_whatever_their_times(shape: list[tuple[int, int, int]]) -> None:
    spans = [
        span(n + 2, start, start + length, parent=1 + parent % (n + 1), name=f"s{n}")
        for n, (parent, start, length) in enumerate(shape)
    ]
    run = run_of(chat(1, 0, 60), *spans)
    tracks = tracks_of(run)
    assert sorted(s.span_id for track in tracks for s in track) == sorted(s.span_id for _, s in run.walk())
    shown = profile(run, [(1, 0, 60, "model", "inferred")])
    file = speedscope(shown)
    assert sum(len(spans_of(file, chart)) for chart in file.profiles[1:]) == len(spans) + 1
    assert sum(map(len, slices(perfetto(shown)).values())) == len(spans) + 2
    assert all(list(overlaps(track)) == [] for track in tracks)


def overlaps(track: list[Any]) -> Iterator[tuple[str, str]]:
    """Pairs of spans of a track that overlap without one of them holding the other."""
    for number, one in enumerate(track):
        for other in track[number + 1 :]:
            if one.start_ns < other.start_ns < one.end_ns < other.end_ns:
                yield one.name, other.name
