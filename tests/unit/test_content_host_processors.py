"""What processors of the host are shown: our spans and those of other libraries, as they start and as they end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spanwise

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import Span

MAIL = "ada@example.com"


class Watching(SimpleSpanProcessor):
    """Notes what a processor of the host sees of a span when it starts."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        super().__init__(exporter)
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.linked: list[dict[str, Any]] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.seen.append((span.name, dict(span.attributes or {})))
        self.linked += [dict(link.attributes or {}) for link in span.links]


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("ours", [True, False])
def test_a_processor_of_the_host_sees_our_spans_redacted(ours: bool, tmp_path: Path) -> None:  # noqa: FBT001
    exporter = InMemorySpanExporter()
    watching = Watching(exporter)
    if ours:
        telemetry = spanwise.configure(journal_dir=tmp_path, exceptions="message")
        assert telemetry.provider is not None
        telemetry.provider.add_span_processor(watching)
    else:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(watching)
        trace.set_tracer_provider(provider)
        spanwise.configure(journal_dir=tmp_path, exceptions="message")
    with contextlib.suppress(ValueError), spanwise.agent(MAIL) as agent:
        agent.set("note", MAIL).set("gen_ai.input.messages", "[]")
        agent.span.add_event(f"to {MAIL}", {"to": MAIL})
        agent.span.update_name(f"agent of {MAIL}")
        raise ValueError(MAIL)
    assert watching.seen == [
        (
            "invoke_agent [redacted:email]",
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "[redacted:email]"},
        )
    ]
    [span] = exporter.get_finished_spans()
    assert MAIL not in span.to_json()
    assert dict(span.attributes or {})["gen_ai.input.messages"] == "[not recorded]"
    assert [event.name for event in span.events] == ["to [redacted:email]", "exception"]


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("first", [True, False])
def test_a_processor_of_the_host_sees_the_hosts_own_spans_without_secrets(first: bool, tmp_path: Path) -> None:  # noqa: FBT001
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    if first:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    spanwise.configure(journal_dir=tmp_path)
    if not first:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    about: dict[str, Any] = {"to": MAIL, "password": "x", "list": ("a", MAIL), "input.value": "kept", "n": 1}
    link = trace.Link(trace.SpanContext(1, 2, is_remote=False), {"link": MAIL})
    span = provider.get_tracer("theirs").start_span(f"GET {MAIL}", attributes=about, links=[link])
    span.add_event("sent", {"event": MAIL})
    span.set_status(trace.StatusCode.ERROR, f"no {MAIL}")
    span.end()
    spanwise.shutdown()
    [seen] = exporter.get_finished_spans()
    assert MAIL not in seen.to_json()
    assert dict(seen.attributes or {}) == {
        "to": "[redacted:email]", "password": "[redacted:attribute]", "list": ("a", "[redacted:email]"),
        "input.value": "kept", "n": 1,
    }  # fmt: skip
    assert (seen.name, seen.status.description) == ("GET [redacted:email]", "no [redacted:email]")
    assert dict(seen.events[0].attributes or {}) == {"event": "[redacted:email]"}
    assert dict(seen.links[0].attributes or {}) == {"link": "[redacted:email]"}


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("first", [True, False])
def test_a_processor_of_the_host_sees_the_hosts_own_spans_begin_without_secrets(first: bool, tmp_path: Path) -> None:  # noqa: FBT001
    watching = Watching(InMemorySpanExporter())
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    if first:
        provider.add_span_processor(watching)
    spanwise.configure(journal_dir=tmp_path)
    if not first:
        provider.add_span_processor(watching)
    about: dict[str, Any] = {"to": MAIL, "password": "x", "list": ("a", MAIL), "input.value": "kept", "n": 1}
    link = trace.Link(trace.SpanContext(1, 2, is_remote=False), {"link": MAIL})
    span: Any = provider.get_tracer("theirs").start_span(f"GET {MAIL}", attributes=about, links=[link])
    span.set_attribute("later", MAIL)
    redacted = {"to": "[redacted:email]", "password": "[redacted:attribute]", "list": ("a", "[redacted:email]")}
    assert watching.seen == [("GET [redacted:email]", {**redacted, "input.value": "kept", "n": 1})]
    assert watching.linked == [{"link": "[redacted:email]"}]
    assert span.attributes["later"] == MAIL
    span.end()
    assert span.attributes["later"] == "[redacted:email]"


@pytest.mark.usefixtures("isolated_provider")
def test_a_value_that_cannot_be_looked_through_is_not_shown_and_harms_nobody(tmp_path: Path) -> None:
    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise RuntimeError

    watching = Watching(InMemorySpanExporter())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(watching)
    trace.set_tracer_provider(provider)
    spanwise.configure(journal_dir=tmp_path)
    provider.get_tracer("theirs").start_span("GET", attributes={"odd": Odd("odd value")}).end()
    assert watching.seen == [("GET", {"odd": "[not recorded]"})]


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("at_once", [True, False])
def test_processors_that_run_at_once_are_shown_ended_spans_without_secrets(at_once: bool, tmp_path: Path) -> None:  # noqa: FBT001
    exporter = InMemorySpanExporter()
    processors = ConcurrentMultiSpanProcessor() if at_once else SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]  # theirs
    provider = TracerProvider(shutdown_on_exit=False, active_span_processor=processors)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    spanwise.configure(journal_dir=tmp_path)
    provider.get_tracer("theirs").start_span("GET", attributes={"to": MAIL}).end()
    assert [dict(one.attributes or {}) for one in exporter.get_finished_spans()] == [{"to": "[redacted:email]"}]
    provider.shutdown()


@pytest.mark.usefixtures("isolated_provider")
def test_a_flush_of_the_hosts_provider_does_not_keep_its_own_processors_waiting_for_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Theirs(SimpleSpanProcessor):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            asked.append("theirs")
            return super().force_flush(timeout_millis)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Theirs(InMemorySpanExporter()))
    trace.set_tracer_provider(provider)
    recorder = spanwise.configure(journal_dir=tmp_path).processor
    monkeypatch.setattr(recorder, "force_flush", lambda _: asked.append("ours"))
    provider.force_flush()
    assert asked == ["theirs", "ours"]


@pytest.mark.usefixtures("isolated_provider")
def test_a_span_without_secrets_reaches_the_host_as_it_was() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    spanwise.configure()
    span: Any = provider.get_tracer("theirs").start_span("GET", attributes={"a": "b"})
    attributes = span._attributes
    span.end()
    spanwise.shutdown()
    [seen] = exporter.get_finished_spans()
    assert seen._attributes is attributes


@pytest.mark.usefixtures("isolated_provider")
def test_a_span_of_another_library_is_told_redacted_names(tmp_path: Path) -> None:
    watching = Watching(InMemorySpanExporter())
    telemetry = spanwise.configure(journal_dir=tmp_path)
    assert telemetry.provider is not None
    telemetry.provider.add_span_processor(watching)
    with spanwise.agent(MAIL), telemetry.provider.get_tracer("theirs").start_as_current_span("GET"):
        pass
    spanwise.shutdown()
    assert watching.seen[1] == ("GET", {"gen_ai.agent.name": "[redacted:email]"})


@pytest.mark.usefixtures("isolated_provider")
def test_links_waits_and_spans_ended_by_hand_are_redacted_for_processors_of_the_host(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    watching = Watching(exporter)
    telemetry = spanwise.configure(journal_dir=tmp_path, wait_threshold=0.0, exceptions="message")
    assert telemetry.provider is not None
    telemetry.provider.add_span_processor(watching)
    with spanwise.step("outer") as outer:
        spanwise.record_wait("lock", MAIL, 1, 5)
        by_hand = spanwise.step("inner", links=[trace.Link(outer.context, {"to": MAIL})]).start().span
        by_hand.add_link(trace.SpanContext(1, 2, is_remote=False), {"late": MAIL})
        by_hand.set_status(trace.StatusCode.ERROR, f"no {MAIL}")
        by_hand.end()
    spanwise.shutdown()
    [wait, inner, _] = exporter.get_finished_spans()
    assert MAIL not in wait.to_json() + inner.to_json()
    assert (wait.name, inner.status.description) == ("wait [redacted:email]", "no [redacted:email]")
    assert watching.linked == [{"to": "[redacted:email]"}]
    assert [dict(link.attributes or {}) for link in inner.links] == [*watching.linked, {"late": "[redacted:email]"}]
    assert MAIL not in "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
