"""Whatever the host hands over (objects whose methods raise, wrong types): it goes on, and its spans are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise import conventions as c
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("not to be asked")


class Hostile:
    """An object that answers no question."""

    __str__ = __repr__ = __eq__ = __bool__ = __len__ = __format__ = __int__ = __float__ = __index__ = __iter__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = refuse
    __hash__ = object.__hash__


class HostileText(str):
    """A text that answers no question."""

    __slots__ = ()
    __str__ = __repr__ = __eq__ = __len__ = __format__ = __hash__ = refuse


VALUES = [Hostile(), HostileText("x"), "half \ud800", None, b"\xff", 5, 1 << 90, float("nan"), [[]], {"a": Hostile()}]


def workflow(bad: Any) -> None:
    with spanwise.workflow(bad, run_id=bad, variant=bad, flags={"flag": bad}) as run:
        run.grade(bad, bad)
    with spanwise.workflow("w", flags=bad):
        pass


def agent(bad: Any) -> None:
    with spanwise.agent(bad, step=bad, role=bad), spanwise.plan(), spanwise.step(bad, role=bad):
        pass
    with spanwise.plan(bad):
        pass


def tool(bad: Any) -> None:
    with spanwise.tool(bad, call_id=bad, tool_type=bad) as span:
        span.arguments(bad)
        span.result(bad)
        span.set(bad, bad).set("one", bad)
        span.fail(bad)


def model_call(bad: Any) -> None:
    with spanwise.llm_call(
        bad, provider=bad, stream=bad, max_tokens=bad, temperature=bad, seed=bad, server=(bad, bad)
    ) as call:
        call.usage(bad, bad, cached_tokens=bad)
        call.usage(1, 2, cached_tokens=bad)
        call.response(id=bad, model=bad, finish_reasons=[bad])
        call.response(id="r", model="m", finish_reasons=bad)
        call.instructions(bad)
        call.input(bad, tools=bad)
        call.input([bad, {"role": bad, "content": bad}], tools=[bad])
        call.output(bad, tool_calls=[bad], finish_reason=bad)
    with spanwise.embeddings(bad, provider=bad, dimensions=bad):
        pass


def lookups(bad: Any) -> None:
    with spanwise.retrieval(bad, top_k=bad) as search:
        search.query(bad)
        search.documents(bad)
        search.documents([bad])
    with spanwise.cache_lookup(bad, tier=bad, kind=bad, key_hash=bad, ttl=bad) as lookup:
        lookup.result(bad, age=bad, saved_seconds=bad, saved_tokens=bad)


def waits(bad: Any) -> None:
    with spanwise.step("waiter"):
        spanwise.record_wait(bad, bad, 1, 10**12)
        with spanwise.waiting(bad, bad):
            pass


@pytest.mark.parametrize("content", ["none", "all"])
@pytest.mark.parametrize("use", [workflow, agent, tool, model_call, lookups, waits])
@pytest.mark.usefixtures("isolated_provider")
def test_nothing_that_a_value_does_reaches_the_host_or_loses_a_span(
    use: Callable[[Any], None], content: str, tmp_path: Path
) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, capture_content=content, wait_threshold=0.0)
    for bad in VALUES:
        use(bad)
    assert telemetry.flush()
    counts = telemetry.ledger()
    spanwise.shutdown()
    assert (counts.journaled, counts.dropped) == (counts.started, {})
    assert counts.started >= len(VALUES)


LARGE = 10**5_000
"""Python refuses to write an integer of so many digits."""


@pytest.mark.parametrize("use", [workflow, agent, tool, model_call, lookups, waits])
@pytest.mark.usefixtures("isolated_provider")
def test_an_integer_of_thousands_of_digits_does_not_reach_the_host(use: Callable[[Any], None], tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, capture_content="all", fingerprints=True, wait_threshold=0.0)
    use(LARGE)
    spanwise.shutdown()
    assert telemetry.ledger().open == 0


def test_a_name_that_is_a_large_integer_says_how_large(tmp_path: Path) -> None:
    with capture() as spans, spanwise.workflow(LARGE, flags={"size": LARGE}):  # type: ignore[arg-type]
        pass
    [span] = spans()
    assert span["name"] == "invoke_workflow <integer of 16610 bits>"
    assert span["attributes"][c.RUN_FLAGS] == '{"size": "<integer of 16610 bits>"}'


def misbehaving(name: str) -> type[Exception]:
    """Return a class of exceptions; pytest would ask questions of those that stand in a module."""

    class Refusing(type):
        def __getattribute__(cls, name: str) -> Any:
            if name in {"__qualname__", "__module__", "__name__", "__class__"}:
                raise ZeroDivisionError(name)
            return super().__getattribute__(name)

    class OddInt(int):
        __int__ = __index__ = __str__ = __repr__ = refuse

    class RefusingClass:
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise ZeroDivisionError

    class RefusingMetaclassError(Exception, metaclass=Refusing):
        pass

    class RefusingError(Exception):
        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

    with_status = {"large status": LARGE, "odd status": OddInt(503), "odd class of status": RefusingClass()}
    if name in with_status:
        return type("WithStatusError", (Exception,), {"status_code": with_status[name], "__module__": "here"})
    if name == "no module":
        return type("NoModuleError", (Exception,), {"__module__": 5})
    return RefusingMetaclassError if name == "metaclass" else RefusingError


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("large status", "here.WithStatusError"),
        ("odd status", "503"),
        ("odd class of status", "here.WithStatusError"),
        ("no module", "5.NoModuleError"),
        ("metaclass", f"{__name__}.misbehaving.<locals>.RefusingMetaclassError"),
        ("attributes", f"{__name__}.misbehaving.<locals>.RefusingError"),
    ],
)
def test_an_exception_that_answers_no_question_reaches_the_host_as_it_is(name: str, said: str) -> None:
    raised = misbehaving(name)()
    caught: list[BaseException] = []
    with capture() as spans:
        try:
            with spanwise.agent("a"):
                raise raised  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - `pytest.raises` would ask the class for its name
            caught.append(error)
    assert caught[0] is raised
    assert [span["attributes"][c.ERROR_TYPE] for span in spans()] == [said]


ENDLESS = range(10**9)


@pytest.mark.parametrize("captured", ["all", "none"])
@pytest.mark.parametrize("fingerprints", [True, False])
@pytest.mark.usefixtures("isolated_provider")
def test_a_sequence_without_end_is_not_read_to_its_end(captured: str, fingerprints: bool, tmp_path: Path) -> None:  # noqa: FBT001
    telemetry = spanwise.configure(journal_dir=tmp_path, capture_content=captured, fingerprints=fingerprints)
    given: Any = ENDLESS
    for messages in (given, (given,), [{"role": "user", "content": given}], [{"role": "user", "tool_calls": given}]):
        with spanwise.llm_call("m") as call:
            call.input(messages, tools=given)
            call.output("text", tool_calls=given)
            call.response(id="1", model="m", finish_reasons=given)
    with spanwise.tool("t", links=given) as tool, spanwise.workflow("w", flags=given):
        tool.arguments(given)
        tool.result(given)
    spanwise.shutdown()
    assert telemetry.ledger().open == 0
