"""A plan that a model writes as JSON becomes steps of a flow, while it still streams in.

    [{"id": 1, "action": "search_files", "parameters": {"query": "invoices"}, "dependencies": []},
     {"id": 2, "action": "read_file", "parameters": {"path": "$step1.files.0"}, "dependencies": []},
     {"id": 3, "action": "report", "parameters": {"title": "Cost: $$5", "text": "$step2"}, "dependencies": [2]}]

A step depends on what `dependencies` lists and on every `$step` that its parameters refer to. A parameter that is a
reference and nothing else gets the value with its type; inside a longer text its text is put in. `$$` is a dollar sign,
and a dollar sign before anything but `step` stays one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import ijson  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from ijson.common import ObjectBuilder  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from spanwise.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator

    from spanwise_pipeline.scheduling.flow import Flow
    from spanwise_pipeline.scheduling.step import Step

    Action = Callable[..., Coroutine[Any, Any, Any]]

_REFERENCE: Final = re.compile(r"\$\$|\$step(?P<step>[A-Za-z0-9_]+)(?P<path>(?:\.[A-Za-z0-9_]+)*)")
_MOST_STEPS: Final = 1000
_LISTS: Final = ("", "steps", "plan")
"""Where the list of steps may stand: it is the document itself, or a field of an object."""
_KNOWN: Final = ("id", "action", "dependencies", "parameters")


class PlanError(InputError):
    """A plan that cannot be carried out; the message names the step, what is wrong with it and the remedy."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The result of another step, or a part of it."""

    step: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as a plan spells it."""
        return ".".join([f"$step{self.step}", *self.path])

    def value(self, results: Mapping[str, Any]) -> Any:
        """Return what it stands for; raises `PlanError` where the result has no such part."""
        found = results[self.step]
        for depth, name in enumerate(self.path):
            try:
                found = _part(found, name)
            except (LookupError, TypeError, ValueError):
                whole = Reference(self.step, self.path[:depth])
                raise PlanError(f"{self}: {whole} has no {name!r}; it is {_outline(found)}") from None
        return found


@dataclass(frozen=True, slots=True)
class Text:
    """A text with references in it."""

    parts: tuple[str | Reference, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan, checked."""

    id: str
    action: str
    dependencies: tuple[str, ...]
    """Ids of the steps that it needs, listed ones and those that its parameters refer to, in order of appearance."""
    parameters: Mapping[str, Any]
    """Plain values, with a `Reference` or a `Text` in place of each text that has references in it."""
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the plan says of the step."""

    def arguments(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with every reference replaced, given results by step id."""
        return {name: _filled(value, results) for name, value in self.parameters.items()}


class PlanReader:
    """Reads a plan as it arrives, and checks each step against those before it.

    Args:
        actions: names that a step's `action` may have.
        most_steps: a plan of more steps is refused.
        source: stands for the plan in messages.
    """

    def __init__(self, actions: Iterable[str], *, most_steps: int = _MOST_STEPS, source: str = "plan") -> None:
        self._actions = tuple(actions)
        self._most = most_steps
        self._source = source
        self._known: dict[str, PlannedStep] = {}
        self._events: list[tuple[str, str, Any]] = []
        self._parser = ijson.parse_coro(_Appending(self._events), use_float=True)
        self._builder: Any = None
        self._list: str | None = None
        """Prefix of the list of steps: the document itself, or a field of it."""
        self._fence = _Fence()
        self._complete = False

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """The steps that have been read so far."""
        return tuple(self._known.values())

    def feed(self, text: str) -> list[PlannedStep]:
        """Take the next piece of the plan and return the steps that it completes.

        Raises:
            PlanError: what was read so far is no plan.
        """
        problem: Exception | None = None
        try:
            for piece in self._fence.inside(text):
                self._parser.send(piece.encode())
        except (ijson.JSONError, StopIteration) as error:
            problem = error
        found = list(self._take())
        if problem is not None and not self._complete:
            raise PlanError(f"{self._source}: not valid JSON after {len(self._known)} steps: {problem}")
        return found

    def close(self) -> tuple[PlannedStep, ...]:
        """Return all steps once the plan has ended.

        Raises:
            PlanError: it ended in the middle, or holds no list of steps.
        """
        if not self._complete:
            where = f"after {len(self._known)} steps" if self._list is not None else "before its list of steps began"
            raise PlanError(f"{self._source}: the plan ends {where}; ask for the whole JSON list of steps again")
        return self.steps

    def _take(self) -> Iterator[PlannedStep]:
        events, self._events[:] = list(self._events), []
        for prefix, event, value in events:
            if self._list is None:
                if event == "start_array" and prefix in _LISTS:
                    self._list = prefix
            elif prefix == self._list and event == "end_array":
                self._complete = True
            elif not self._complete and (step := self._item(prefix, event, value)) is not None:
                yield step

    def _item(self, prefix: str, event: str, value: Any) -> PlannedStep | None:
        """Build the entry of the list that the events are about; returns it once it is whole."""
        item = f"{self._list}.item" if self._list else "item"
        if self._builder is None:
            self._builder = ObjectBuilder()
        self._builder.event(event, value)
        if prefix != item or event in {"start_map", "start_array", "map_key"}:
            return None
        built, self._builder = self._builder.value, None
        return self._checked(built)

    def _checked(self, entry: Any) -> PlannedStep:
        position = len(self._known) + 1
        if position > self._most:
            raise PlanError(f"{self._source}: more than {self._most} steps; ask for a shorter plan")
        if not _is_object(entry):
            raise self._fault(f"entry {position}", f"a step is an object with {', '.join(_KNOWN)}, this is {entry!r}")
        name = self._id(entry, position)
        place = f"step {name}"
        action = entry.get("action")
        if not isinstance(action, str) or action not in self._actions:
            raise self._fault(place, f"unknown action {action!r}; {nearest(str(action), self._actions)}")
        parameters = entry.get("parameters", {})
        if not _is_object(parameters):
            raise self._fault(place, f"parameters are an object of names and values, this is {parameters!r}")
        parsed = {key: _parsed(value) for key, value in parameters.items()}
        needed = [*self._listed(entry, place), *(reference.step for reference in _references(parsed))]
        for other in needed:
            self._check_reference(name, place, other)
        more = {key: value for key, value in entry.items() if key not in _KNOWN}
        step = PlannedStep(name, action, tuple(dict.fromkeys(needed)), parsed, more)
        self._known[name] = step
        return step

    def _id(self, entry: Mapping[str, Any], position: int) -> str:
        given = entry.get("id")
        name = str(given)
        good = isinstance(given, int | str) and not isinstance(given, bool) and re.fullmatch(r"\w+", name)
        if not good:
            raise self._fault(f"entry {position}", f"its id is {given!r}; give a whole number or a word")
        if name in self._known:
            raise self._fault(f"entry {position}", f"the id {name} is taken by an earlier step; give each its own")
        return name

    def _listed(self, entry: Mapping[str, Any], place: str) -> list[str]:
        listed = entry.get("dependencies", [])
        if not _is_list(listed) or any(not isinstance(other, int | str) for other in listed):
            raise self._fault(place, f"dependencies are a list of step ids, this is {listed!r}")
        return [str(other).removeprefix("$step") for other in listed]

    def _check_reference(self, name: str, place: str, other: str) -> None:
        if other == name:
            raise self._fault(place, "it depends on itself; remove that dependency")
        if other not in self._known:
            known = f"the steps before it are {', '.join(self._known)}" if self._known else "it is the first step"
            raise self._fault(
                place,
                f"it needs step {other}, which does not come before it ({known}); a step can only need earlier ones",
            )

    def _fault(self, place: str, problem: str) -> PlanError:
        return PlanError(f"{self._source}: {place}: {problem}")


async def run_plan(
    flow: Flow,
    plan: str | AsyncIterable[str],
    actions: Mapping[str, Action],
    *,
    hold: bool = False,
    source: str = "plan",
) -> dict[str, Step[Any]]:
    """Add the steps of a plan to a flow as they are read, and return them by id once the plan has ended.

    A whole plan (a text) is checked before anything of it runs. Of a plan that streams in, each step starts as soon
    as it is read, checked against the steps before it, and its inputs are done; where a later step turns out to be
    wrong, those that run are cancelled.

    Args:
        flow: gets the steps; each is named after its id and action.
        plan: the JSON text, or its pieces as they come; a Markdown fence around it is skipped.
        actions: name to coroutine function, called with the step's parameters by name.
        hold: wait for the end of the plan before anything runs, also where it streams in.
        source: stands for the plan in messages.

    Raises:
        PlanError: the plan cannot be carried out; names step and remedy. Every step that was added is cancelled.
    """
    reader = PlanReader(actions, source=source)
    steps: dict[str, Step[Any]] = {}
    held: list[PlannedStep] = []
    hold = hold or isinstance(plan, str)
    try:
        async for piece in _pieces(plan):
            for planned in reader.feed(piece):
                if hold:
                    held.append(planned)
                else:
                    _add(flow, planned, actions, steps)
        reader.close()
    except BaseException:
        for step in steps.values():
            step.cancel()
        raise
    for planned in held:
        _add(flow, planned, actions, steps)
    return steps


def _add(flow: Flow, planned: PlannedStep, actions: Mapping[str, Action], steps: dict[str, Step[Any]]) -> None:
    action = actions[planned.action]

    async def run(*results: Any) -> Any:
        return await action(**planned.arguments(dict(zip(planned.dependencies, results, strict=True))))

    inputs = [steps[other] for other in planned.dependencies]
    steps[planned.id] = flow.step(f"{planned.id} {planned.action}", run, *inputs, role=planned.action)


async def _pieces(plan: str | AsyncIterable[str]) -> AsyncIterable[str]:
    if isinstance(plan, str):
        yield plan
        return
    async for piece in plan:
        yield piece


class _Appending:
    """What ijson sends events to."""

    def __init__(self, events: list[tuple[str, str, Any]]) -> None:
        self._events = events

    def send(self, event: tuple[str, str, Any]) -> None:
        self._events.append(event)

    def close(self) -> None:
        """Nothing has to be ended."""


class _Fence:
    """Skips what stands around a JSON document in a model's answer: words before it, and a Markdown fence."""

    def __init__(self) -> None:
        self._inside = False

    def inside(self, text: str) -> Iterator[str]:
        if not self._inside:
            starts = [place for place in (text.find("["), text.find("{")) if place >= 0]
            if not starts:
                return
            self._inside = True
            text = text[min(starts) :]
        yield text


def _parsed(value: Any) -> Any:
    """Return a parameter with references in place of the texts that spell them."""
    if isinstance(value, str):
        return _text(value)
    if _is_object(value):
        return {key: _parsed(inner) for key, inner in value.items()}
    if _is_list(value):
        return [_parsed(inner) for inner in value]
    return value


def _text(text: str) -> str | Reference | Text:
    parts: list[str | Reference] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        path = tuple((match["path"] or "").split(".")[1:])
        parts.append("$" if match["step"] is None else Reference(match["step"], path))
    parts.append(text[end:])
    kept = [part for part in parts if part != ""]
    if len(kept) == 1 and isinstance(kept[0], Reference):
        return kept[0]
    if all(isinstance(part, str) for part in kept):
        return "".join(part for part in kept if isinstance(part, str))
    return Text(tuple(kept))


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, Text):
        yield from (part for part in value.parts if isinstance(part, Reference))
    elif _is_object(value):
        for inner in value.values():
            yield from _references(inner)
    elif _is_list(value):
        for inner in value:
            yield from _references(inner)


def _filled(value: Any, results: Mapping[str, Any]) -> Any:
    if isinstance(value, Reference):
        return value.value(results)
    if isinstance(value, Text):
        return "".join(part if isinstance(part, str) else _shown(part.value(results)) for part in value.parts)
    if _is_object(value):
        return {key: _filled(inner, results) for key, inner in value.items()}
    if _is_list(value):
        return [_filled(inner, results) for inner in value]
    return value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _part(value: Any, name: str) -> Any:
    if _is_mapping(value):
        return value[name]
    if _is_sequence(value):
        return value[int(name)]
    raise TypeError(name)


def _outline(value: Any) -> str:
    if _is_mapping(value):
        names = [str(name) for name in value]
        return f"an object with {', '.join(names)}" if names else "an empty object"
    if _is_sequence(value):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {value!r:.40}"
