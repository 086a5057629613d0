"""What of a trace leaves the process, where to, and how it goes on elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context

import spanwise
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "https://search.desk.internal/find"


@pytest.fixture(autouse=True)
def recording(isolated_provider: None) -> Iterator[None]:
    del isolated_provider
    spanwise.configure(propagate_to=["*.desk.internal", "localhost:8080", "api.openai.com", "node-?.test"])
    yield
    spanwise.shutdown()


def carried(url: str | None = None) -> dict[str, str]:
    carrier: dict[str, str] = {}
    spanwise.inject(carrier, url=url)
    return carrier


def test_a_message_carries_trace_run_workflow_and_agent() -> None:
    with spanwise.workflow("desk", run_id="r1"), spanwise.agent("news"), spanwise.step("ask") as step:
        carrier = carried()
    about = step.context
    assert carrier["traceparent"].startswith(f"00-{about.trace_id:032x}-{about.span_id:016x}-")
    assert sorted(carrier["baggage"].split(",")) == [
        "gen_ai.agent.name=news", "gen_ai.workflow.name=desk", "spanwise.run.id=r1",
    ]  # fmt: skip


def test_what_is_extracted_is_continued_with_its_names_and_run() -> None:
    with spanwise.workflow("desk", run_id="r1"), spanwise.agent("news") as outer:
        carrier = carried()
    with capture() as spans, spanwise.extract({name.upper(): value for name, value in carrier.items()}):
        with spanwise.tool("search"):
            pass
        with spanwise.workflow("desk"), spanwise.agent("digest"):
            pass
    found = [(one["name"], one["parent_id"], about(one["attributes"])) for one in spans()]
    by_name = {one["name"]: one for one in spans()}
    assert found == [
        ("execute_tool search", outer.context.span_id, ("desk", "news", "r1")),
        ("invoke_workflow desk", outer.context.span_id, ("desk", "news", "r1")),
        ("invoke_agent digest", by_name["invoke_workflow desk"]["span_id"], ("desk", "digest", "r1")),
    ]
    assert {one["trace_id"] for one in spans()} == {outer.context.trace_id}


def about(attributes: dict[str, Any]) -> tuple[Any, Any, Any]:
    return tuple(attributes.get(name) for name in ("gen_ai.workflow.name", "gen_ai.agent.name", "spanwise.run.id"))  # type: ignore[return-value]


def test_a_workflow_elsewhere_with_a_run_id_of_its_own_is_that_run() -> None:
    elsewhere = spanwise.extract({"baggage": "gen_ai.workflow.name=desk,spanwise.run.id=r1"})
    with capture() as spans, elsewhere, spanwise.workflow("desk", run_id="r2"), spanwise.step("s"):
        pass
    assert [about(one["attributes"]) for one in spans()] == [("desk", None, "r2"), ("desk", None, None)]


@pytest.mark.parametrize(
    "url",
    [OURS, "http://localhost:8080", "http://LOCALHOST:8080/x", "https://a.b.desk.internal.", "http://node-7.test:99/"],
)
def test_a_request_to_a_host_on_the_list_carries_the_trace(url: str) -> None:
    with spanwise.workflow("desk"), spanwise.tool("search"):
        assert set(carried(url)) == {"traceparent", "baggage"}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/", "https://desk.internal.example.com/", "https://evildesk.internal/", "not an address",
        "http://localhost/", "https://search.desk.internal@example.com/", "https://example.com\\@search.desk.internal/",
        "https://example.com/?u=search.desk.internal", "https://example.com#search.desk.internal", "http://[::1", "",
        "//:80", "https://search.desk.internal /",
    ],
)  # fmt: skip
def test_a_request_to_any_other_host_carries_nothing(url: str) -> None:
    with spanwise.workflow("desk"), spanwise.tool("search"):
        assert carried(url) == {}


def test_nothing_is_carried_over_http_by_default() -> None:
    spanwise.configure()
    with spanwise.workflow("desk"):
        assert carried(OURS) == {}
        assert "traceparent" in carried()


def test_a_model_provider_never_gets_baggage() -> None:
    token = otel_context.attach(baggage.set_baggage("customer", "ada"))
    with spanwise.workflow("desk"), spanwise.llm_call("m"):
        assert set(carried(OURS)) == {"traceparent"}
        assert set(carried("https://api.openai.com/v1")) == {"traceparent"}
    with spanwise.workflow("desk"):
        assert set(carried("https://api.openai.com/v1")) == {"traceparent"}
        assert "customer=ada" in carried(OURS)["baggage"]
    otel_context.detach(token)


def test_names_are_carried_without_secrets() -> None:
    with spanwise.workflow("of ada@example.com"):
        assert "example.com" not in carried()["baggage"]


@pytest.mark.parametrize(
    "carrier", [{}, {"traceparent": "junk"}, {"traceparent": 7, "baggage": None}, {"baggage": "=,;%%%"}, None, 5]
)
def test_what_cannot_be_read_begins_a_trace_of_its_own(carrier: Any) -> None:
    with capture() as spans, spanwise.extract(carrier), spanwise.step("s"):
        pass
    assert [one["parent_id"] for one in spans()] == [None]


def test_a_carrier_that_takes_nothing_does_not_stop_the_host() -> None:
    with spanwise.workflow("desk"):
        spanwise.inject(None)  # type: ignore[arg-type]
        spanwise.inject({}, url=7)  # type: ignore[arg-type]


def test_after_the_block_the_context_is_what_it_was() -> None:
    with spanwise.step("here") as here:
        with spanwise.extract({"traceparent": f"00-{7:032x}-{8:016x}-01"}):
            assert trace.get_current_span().get_span_context().span_id == 8
        assert trace.get_current_span().get_span_context() == here.context
