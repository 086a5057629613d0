"""The rules of the GenAI conventions that can be checked on a span, over the spans of every helper.

They are the rules that the conventions' own conformance policies check, written anew in Python, since the policies
need tools that are not had everywhere.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest

import spanwise
from spanwise import conventions as c
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED_AFTER: Final = {
    "invoke_workflow": "gen_ai.workflow.name",
    "invoke_agent": "gen_ai.agent.name",
    "plan": "gen_ai.agent.name",
    "chat": "gen_ai.request.model",
    "embeddings": "gen_ai.request.model",
    "execute_tool": "gen_ai.tool.name",
    "retrieval": "gen_ai.data_source.id",
}
REQUIRED: Final = {
    "chat": {"gen_ai.provider.name", "gen_ai.request.model"},
    "embeddings": {"gen_ai.provider.name", "gen_ai.request.model"},
    "execute_tool": {"gen_ai.tool.name", "gen_ai.tool.type"},
    "invoke_workflow": {"gen_ai.workflow.name"},
    "retrieval": {"gen_ai.data_source.id"},
}
NOT_ON_INTERNAL_AGENTS: Final = {"gen_ai.provider.name", "gen_ai.agent.id", "gen_ai.agent.version"}
KINDS: Final = {"chat": "CLIENT", "embeddings": "CLIENT", "retrieval": "CLIENT"}
CONTENT: Final = {
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
}  # fmt: skip


def broken_rules(span: dict[str, Any]) -> Iterator[str]:
    attributes = span["attributes"]
    if "gen_ai.operation.name" in attributes:
        yield from broken_rules_of(attributes["gen_ai.operation.name"], span)
    if attributes.keys() & CONTENT:
        yield "no content is recorded"
    if span["status"] == "OK":
        yield "instrumentation never sets OK"
    if ("error.type" in attributes) != (span["status"] == "ERROR"):
        yield "error.type is there exactly when the status is ERROR"
    if ("server.port" in attributes) > ("server.address" in attributes):
        yield "a port comes with an address"


def broken_rules_of(operation: str, span: dict[str, Any]) -> Iterator[str]:
    attributes = span["attributes"]
    if operation not in NAMED_AFTER:
        yield "the operation is one that the conventions know"
        return
    subject = attributes.get(NAMED_AFTER[operation])
    if span["name"] != (f"{operation} {subject}" if subject else operation):
        yield "the name is the operation and its subject, or the operation alone"
    if not attributes.keys() >= REQUIRED.get(operation, set()):
        yield "required attributes are there"
    if span["kind"] != KINDS.get(operation, "INTERNAL"):
        yield "the kind is the operation's"
    if operation == "invoke_agent" and attributes.keys() & NOT_ON_INTERNAL_AGENTS:
        yield "an internal agent has no provider, id or version"


def one_of_each() -> list[Any]:
    return [
        spanwise.workflow("desk"),
        spanwise.agent("risk"),
        spanwise.plan("risk"),
        spanwise.plan(),
        spanwise.tool("prices"),
        spanwise.llm_call("m", stream=True, server=("h", 1)),
        spanwise.embeddings("e"),
        spanwise.retrieval("filings"),
        spanwise.cache_lookup("replies"),
        spanwise.step("merge"),
    ]


def test_every_helper_keeps_the_rules_of_the_conventions_whether_it_succeeds_or_fails() -> None:
    with capture() as spans:
        for helper in one_of_each():
            with helper:
                pass
        for helper in one_of_each():
            with contextlib.suppress(OSError), helper:
                raise OSError
        with spanwise.workflow("w"), spanwise.agent("a"):
            for helper in one_of_each():
                with helper, spanwise.waiting("lock", "l"):
                    pass
    assert len(spans()) >= 42
    assert [(span["name"], rule) for span in spans() for rule in broken_rules(span)] == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"name": "chat"}, "the name is the operation and its subject, or the operation alone"),
        ({"kind": "INTERNAL"}, "the kind is the operation's"),
        ({"status": "OK"}, "instrumentation never sets OK"),
        ({"status": "ERROR"}, "error.type is there exactly when the status is ERROR"),
    ],
)
def test_the_rules_find_what_breaks_them(change: dict[str, Any], rule: str) -> None:
    with capture() as spans, spanwise.llm_call("m"):
        pass
    assert list(broken_rules(spans()[0] | change)) == [rule]


def test_the_operations_are_the_ones_that_the_conventions_module_lists() -> None:
    assert set(get_args(c.Operation)) == set(NAMED_AFTER)


def test_attribute_names_are_unique_and_ours_are_under_our_own_root() -> None:
    names = [value for name, value in vars(c).items() if name.isupper() and isinstance(value, str) and "." in value]
    assert len(names) == len(set(names))
    ours = [one for one in names if one.startswith("spanwise.")]
    general = {one for one in names if one.startswith(("error.", "exception.", "http.", "server.", "url."))}
    assert set(names) - set(ours) - general - {c.DIALECT} == {one for one in names if one.startswith("gen_ai.")}
