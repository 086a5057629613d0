"""A stub of LangSmith: what its documentation says of its OTLP route and of both its APIs for runs, and nothing more.

Spans that come in over OTLP become runs by the table of docs.langchain.com/langsmith/trace-with-opentelemetry; an
attribute that is not in it is lost here, though LangSmith may keep it. A run whose parent never came is not shown, and
tokens are summed up on the runs above. What its pages look like cannot be tested: there is no LangSmith.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

KEY = "ls-key"
TENANT = "7c0ffee0-0000-4000-8000-0000000000aa"
PROJECT = "7c0ffee0-0000-4000-8000-0000000000bb"
PAGE = 3
"""Runs of a page: few, so that each trace has several."""
_SELECT = frozenset({
    "app_path", "completion_cost", "completion_tokens", "dotted_order", "end_time", "error", "events", "extra",
    "feedback_stats", "first_token_time", "id", "inputs", "name", "outputs", "parent_run_id", "parent_run_ids",
    "prompt_cost", "prompt_tokens", "reference_example_id", "run_type", "s3_urls", "session_id", "start_time",
    "status", "tags", "total_cost", "total_tokens", "trace_id",
})  # fmt: skip
"""What the first API can be asked for: no more than its SDK asks for of itself."""
_OPERATIONS = {"chat": "llm", "completion": "llm", "embedding": "embedding"}
_METADATA = "langsmith.metadata."
_INVOCATION = {
    "gen_ai.request.model": "model", "gen_ai.response.model": "model", "gen_ai.request.temperature": "temperature",
    "gen_ai.request.max_tokens": "max_tokens", "gen_ai.request.seed": "seed", "gen_ai.tool.name": "tool_name",
}  # fmt: skip
_USAGE = {
    "gen_ai.usage.input_tokens": "input_tokens", "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.total_tokens": "total_tokens", "gen_ai.usage.details.reasoning_tokens": "reasoning_tokens",
    "gen_ai.usage.input_token_details": "input_token_details",
}  # fmt: skip

_JSON = "application/json"

Json = dict[str, Any]


def run_of(span: Any, resource: Mapping[str, Any]) -> Json:
    """Return the run that a span becomes, without what the rest of its trace decides."""
    values = {pair.key: plain(pair.value) for pair in span.attributes}
    metadata = {**resource, **{k.removeprefix(_METADATA): v for k, v in values.items() if k.startswith(_METADATA)}}
    if provider := values.get("gen_ai.system"):
        metadata["ls_provider"] = provider
    outputs = messages(values, "output")
    if usage := {name: parsed(values[key]) for key, name in _USAGE.items() if key in values}:
        outputs["usage_metadata"] = usage
    if documents := list(documents_of(values)):
        outputs["documents"] = documents
    invocation = {name: values[key] for key, name in _INVOCATION.items() if key in values}
    errors = [{p.key: plain(p.value) for p in e.attributes} for e in span.events if e.name == "exception"]
    return {
        "id": run_id(span.span_id),
        "parent_run_id": run_id(span.parent_span_id) if span.parent_span_id else None,
        "name": values.get("langsmith.trace.name", span.name),
        "run_type": values.get("langsmith.span.kind", inferred(values)),
        "start_time": moment(span.start_time_unix_nano),
        "end_time": moment(span.end_time_unix_nano),
        "inputs": messages(values, "input"),
        "outputs": outputs,
        "error": errors[0]["exception.message"] if errors else None,
        "extra": {"metadata": metadata, "invocation_params": invocation},
    }


def plain(value: Any) -> Any:
    """Return the value of an attribute."""
    kind = value.WhichOneof("value")
    return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def inferred(values: Mapping[str, Any]) -> str:
    """Return the type of a run that does not state it."""
    if "gen_ai.tool.name" in values:
        return "tool"
    return _OPERATIONS.get(str(values.get("gen_ai.operation.name")), "chain")


def messages(values: Mapping[str, Any], way: str) -> Json:
    """Return inputs or outputs."""
    if (said := values.get(f"gen_ai.{way}.messages")) is not None:
        return {"messages": parsed(said)}
    value = parsed(values.get(f"{way}.value"))
    return value if isinstance(value, dict) else {} if value is None else {way: value}


def documents_of(values: Mapping[str, Any]) -> Iterator[Json]:
    """Yield what a retrieval found."""
    number = 0
    while (content := values.get(f"retrieval.documents.{number}.document.content")) is not None:
        about = values.get(f"retrieval.documents.{number}.document.metadata", "{}")
        yield {"page_content": content, "type": "Document", "metadata": parsed(about)}
        number += 1


def parsed(value: Any) -> Any:
    """Return what JSON in an attribute stands for; other values as they are."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def run_id(span_id: bytes) -> str:
    """Return the id of a run that was a span: `langsmith_run_id_from_otel_span_id` of the SDK does the same."""
    return str(uuid.UUID(bytes=span_id.rjust(16, b"\0")))


def moment(nanoseconds: int) -> str:
    """Return a time as the API writes it, in microseconds."""
    second = datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(tzinfo=None)
    return f"{second.isoformat()}.{nanoseconds // 1000 % 10**6:06d}"


def compact(time: str) -> str:
    """Return a time as `dotted_order` has it."""
    return "".join(letter for letter in time.partition("+")[0] if letter not in "-:.")


@dataclass
class LangSmith:
    """What came in, and how to answer."""

    flags: Json = field(default_factory=dict[str, Any])
    """`instance_flags`: which API it has."""
    faults: deque[tuple[int, dict[str, str]]] = field(default_factory=deque[tuple[int, dict[str, str]]])
    """Statuses with headers, answered first, one for each request to `/otel` or for runs."""
    address: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Method and path of each."""
    heads: set[tuple[str | None, ...]] = field(default_factory=set[tuple[str | None, ...]])
    """Path, key, project and content type of what came to `/otel`."""
    stored: dict[str, Json] = field(default_factory=dict[str, Json])

    def page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"https://smith.langchain.com/o/{TENANT}/projects/p/{PROJECT}/r/{run}?poll=true"

    @property
    def runs(self) -> dict[str, Json]:
        """The runs as the first API shows them, by id: those whose ancestors came, with what the trace decides."""
        shown = {one: run for one, run in self.stored.items() if self._line(one) is not None}
        return {one: self._completed(run, shown) for one, run in shown.items()}

    def named(self) -> dict[str, Json]:
        """Return the same by name."""
        return {run["name"]: run for run in self.runs.values()}

    def _line(self, one: str) -> list[str] | None:
        """Return the ids from the root down to a run; none where one is missing."""
        line: list[str] = []
        above: str | None = one
        while above is not None:
            if above not in self.stored:
                return None
            line.insert(0, above)
            above = self.stored[above].get("parent_run_id")
        return line

    def _completed(self, run: Json, shown: Mapping[str, Json]) -> Json:
        line = self._line(run["id"]) or []
        below = [one for one in shown.values() if run["id"] in (self._line(one["id"]) or [])]
        usages = [(one.get("outputs") or {}).get("usage_metadata") or {} for one in below]
        order = ".".join(f"{compact(shown[one]['start_time'])}Z{one}" for one in line)
        kept = {key: value for key, value in run.items() if key not in {"session_name", "serialized", "attachments"}}
        return {
            "session_id": PROJECT, "status": "error" if run.get("error") else "success", **kept,
            "trace_id": line[0], "parent_run_ids": line[:-1], "dotted_order": order,
            "prompt_tokens": sum(usage.get("input_tokens", 0) for usage in usages),
            "completion_tokens": sum(usage.get("output_tokens", 0) for usage in usages),
        }  # fmt: skip

    def take_spans(self, body: bytes) -> None:
        """Take what came over OTLP."""
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {pair.key: plain(pair.value) for pair in part.resource.attributes}
            for run in (run_of(span, resource) for scope in part.scope_spans for span in scope.spans):
                self.stored[run["id"]] = run

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, Any]:
        """Return status and document for a request to the API."""
        match method, path.strip("/").split("/"):
            case "GET", ["info"]:
                return 200, {"version": "0.18.3", "instance_flags": self.flags}
            case "GET", ["sessions"]:
                return 200, [
                    {"id": PROJECT, "name": query["name"][0], "tenant_id": TENANT, "reference_dataset_id": None}
                ]
            case (("POST" | "PATCH"), ["runs", *one]) if one != ["query"]:
                changed = {key: value for key, value in body.items() if value is not None}
                self.stored.setdefault(one[0] if one else str(uuid.UUID(body["id"])), {}).update(changed)
                return 202, {}
            case _, ["runs", *_] if self.flags.get("ch_query_enabled", True):
                return self._first(method, path.strip("/").split("/"), body)
            case "GET", ["api", "v2", *rest] if query.get("project_id") == [PROJECT]:
                return self._second(rest, query)
            case _:
                return 404, {"detail": "Not Found"}

    def _first(self, method: str, path: list[str], body: Json) -> tuple[int, Any]:
        if (method, path) == ("POST", ["runs", "query"]):
            if not _SELECT.issuperset(body["select"]):
                return 422, {"detail": "select"}
            found = [run for run in self.runs.values() if run["trace_id"] == body["trace"]]
            begin = int(body.get("cursor") or 0)
            selected = [{k: v for k, v in run.items() if k in body["select"]} for run in found[begin : begin + PAGE]]
            more = str(begin + PAGE) if len(found) > begin + PAGE else None
            return 200, {"runs": selected, "cursors": {"next": more}}
        run = self.runs.get(path[1])
        return (404, {"detail": "Run not found"}) if run is None else (200, run)

    def _second(self, path: list[str], query: Mapping[str, list[str]]) -> tuple[int, Any]:
        if path[0] == "traces":
            found = [run for run in self.runs.values() if run["trace_id"] == path[1]]
            return 200, {"items": [self._upper(run, query["selects"]) for run in found]}
        run = self.runs.get(path[1])
        return (404, {"detail": "Run not found"}) if run is None else (200, self._upper(run, query["selects"]))

    def _upper(self, run: Json, selects: list[str]) -> Json:
        """Return a run as the second API has it."""
        later = {key: value for key, value in run.items() if key not in {"parent_run_id", "session_id"}}
        later |= {"run_type": run["run_type"].upper(), "status": run["status"].upper(), "project_id": PROJECT}
        return {key: value for key, value in later.items() if key.upper() in selects}


@contextmanager
def langsmith_server() -> Generator[LangSmith]:
    """Run the stub on a free port of 127.0.0.1."""
    smith = LangSmith()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10  # of a connection that a client keeps open, which would show here

        def do_POST(self) -> None:
            self.handle_any()

        do_GET = do_PATCH = do_POST  # noqa: N815 - the names are http.server's

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            parts = urlsplit(self.path)
            smith.requests.append((self.command, parts.path))
            status, document, headers = self.reply(parts.path, parse_qs(parts.query), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), "content-type": _JSON, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def reply(self, path: str, query: Mapping[str, list[str]], body: bytes) -> tuple[int, Any, Mapping[str, str]]:
            if path == "/otel/v1/traces":
                named = ("x-api-key", "langsmith-project", "content-type")
                smith.heads.add((path, *(self.headers.get(name) for name in named)))
            if path != "/info" and smith.faults:
                status, headers = smith.faults.popleft()
                return status, {"detail": "told to"}, headers
            if path != "/info" and self.headers.get("x-api-key") != KEY:
                return 401, {"detail": "Invalid token"}, {}
            if path == "/otel/v1/traces":
                smith.take_spans(body)
                return 200, {}, {}
            return *smith.answer(self.command, path, query, json.loads(body or b"null")), {}

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False  # they are waited for
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        smith.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield smith
        finally:
            server.shutdown()
            thread.join()
