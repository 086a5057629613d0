"""Every span, attribute, event, link and metric name that spanwise emits; nothing else spells one.

OpenTelemetry's GenAI semantic conventions come first, in the dialect that today's tools read (the names that
`opentelemetry-util-genai` 1.3 emits). The names are our own constants because the published package froze at an older
level and marks them deprecated. What the conventions lack (cache lookups, waits, runs) lives under `spanwise.*` and
never invents a `gen_ai.operation.name`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

SCOPE: Final = "spanwise"
DIALECT: Final = "opentelemetry-util-genai/1.3"

# Attributes of the GenAI conventions
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - an attribute name
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"

# Attributes of the general conventions
ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"

# Attributes of our own
TIME_SCALE: Final = "spanwise.time.scale"
RUN_ID: Final = "spanwise.run.id"
RUN_VARIANT: Final = "spanwise.run.variant"
RUN_FLAGS: Final = "spanwise.run.flags"
RUN_SEED: Final = "spanwise.run.seed"
RUN_TASK: Final = "spanwise.run.task"
"""Name of the input that the run worked on; runs of the same task and seed can be compared in pairs."""
RUN_LOAD: Final = "spanwise.run.load"
"""Load average of the last minute for each processor, when the run began."""
TRACE_ID: Final = "spanwise.trace.id"
"""Metadata of what is sent to LangSmith, and of no span: it gives a trace the id of its first run."""
STEP_NAME: Final = "spanwise.step.name"
STEP_ROLE: Final = "spanwise.step.role"
RACE_WINNER: Final = "spanwise.race.winner"
"""On the span of a race: the candidate whose result was taken."""
RACE_LOST: Final = "spanwise.race.lost"
"""True on the span of a candidate that was cancelled because another one had won."""
RACE_LOST_SECONDS: Final = "spanwise.race.lost.seconds"
"""On the span of a race: how long the candidates that did not win had run, together."""
QUALITY_GRADE: Final = "spanwise.quality.grade"
QUALITY_SCORE: Final = "spanwise.quality.score"
CACHE_NAME: Final = "spanwise.cache.name"
CACHE_TIER: Final = "spanwise.cache.tier"
CACHE_KIND: Final = "spanwise.cache.kind"
CACHE_RESULT: Final = "spanwise.cache.result"
CACHE_KEY_HASH: Final = "spanwise.cache.key_hash"
CACHE_AGE: Final = "spanwise.cache.age"
CACHE_TTL: Final = "spanwise.cache.ttl"
CACHE_SAVED_SECONDS: Final = "spanwise.cache.saved_seconds"
CACHE_SAVED_TOKENS: Final = "spanwise.cache.saved_tokens"
CONTENT_TRUNCATED: Final = "spanwise.content.truncated"
"""Names of the attributes of this span or event that were too long and were cut."""
CONTENT_WITHHELD: Final = "spanwise.content.withheld"
"""Names of the attributes of another library's span that were left out, since they may hold content."""
SUM_INPUT_TOKENS: Final = "spanwise.usage.input_tokens"
"""On an agent or a workflow: input tokens of all calls below it. Backends add up the `gen_ai.usage.*` of all spans."""
SUM_OUTPUT_TOKENS: Final = "spanwise.usage.output_tokens"
"""Likewise, output tokens."""
STREAM_CHUNKS: Final = "spanwise.stream.chunks"
WRITE_FILES: Final = "spanwise.write.files"
"""On a step that writes a batch: how many writes to files it holds."""
STREAM_CLOSED_EARLY: Final = "spanwise.stream.closed_early"
"""True on a stream that was left before its end, because what was needed was there; it tells no usage."""
STREAM_TOKENS_PER_SECOND: Final = "spanwise.stream.tokens_per_second"
"""Output tokens over the duration of a stream that the span itself read."""
ATTEMPTS: Final = "spanwise.attempts"
"""On a model call: how many requests it took, where that was more than one."""
RETRY_SCHEDULED: Final = "spanwise.retry.scheduled"
"""True on a failed attempt that is tried again; such spans are what `spanwise_retries_total` counts."""
RETRY_ATTEMPT: Final = "spanwise.retry.attempt"
"""1 on the first attempt of a call, 2 on its first retry, and so on."""
HEDGE: Final = "spanwise.hedge"
"""True on a request that was sent beside another one, because that was late; the first good answer was taken."""
FALLBACK_FROM: Final = "spanwise.fallback.from"
"""On a call of a model that stands in for another: the model that was asked for."""
WAIT_KIND: Final = "spanwise.wait.kind"
WAIT_RESOURCE: Final = "spanwise.wait.resource"
WAIT_RELEASED_BY: Final = "spanwise.wait.released_by"
"""On a wait without a link to the span that ended it: `task` and its name, or `UNKNOWN_RELEASER`."""
UNKNOWN_RELEASER: Final = "unknown"
WAIT_SHORT_COUNT: Final = "spanwise.wait.short.count"
"""On a waiter: how many waits were too short, or too much alike, for records of their own."""
WAIT_SHORT_SECONDS: Final = "spanwise.wait.short.seconds"
LINK_REASON: Final = "spanwise.link.reason"
CPU_SECONDS: Final = "spanwise.cpu.seconds"
"""CPU time of the steps of tasks in which the span was the current one."""
LOOP_BLOCKED_SECONDS: Final = "spanwise.loop.blocked.seconds"
"""How long the span kept the event loop from everybody else, in stretches of at least 0.1 s."""
BUDGET_BUCKET: Final = "spanwise.budget.bucket"
"""Label of the budget's metric, and of no span: a workflow's has `spanwise.budget.<bucket>`, in recorded seconds."""
BUDGET_BUCKETS: Final = (
    "model_prefill", "model_decode", "model", "tool", "retrieval", "cache_lookup", "wait_rate_limit",
    "wait_concurrency", "wait_retry", "wait_circuit", "connect", "loop_blocked", "gc", "queue", "cpu", "coordination",
    "human", "unknown",
)  # fmt: skip
COST: Final = "spanwise.cost"
"""What a model call cost, by a list of prices; absent where the model has no price."""
COST_CURRENCY: Final = "spanwise.cost.currency"
CURRENCY: Final = "currency"
"""Label of the cost's metric, and of no span."""
GC_PAUSE_SECONDS: Final = "spanwise.gc.pause.seconds"
"""Pauses of the garbage collector while the span was open, anywhere in the process: they stop every thread."""
REQUEST_HASH: Final = "spanwise.request.hash"
"""Of what was asked for; calls that have it in common were identical."""
REQUEST_PREFIX_HASHES: Final = "spanwise.request.prefix_hashes"
"""Of the first 1, 2, 4, … KiB of a model call's tools and messages, with spaces between."""
REQUEST_SOURCES: Final = "spanwise.request.sources"
"""On a model call, where lines of its prompt came from: `<span id>:<characters>:<characters>` for each earlier span,
with spaces between; the second number counts lines that no prompt had held before. A text: few stores keep lists."""
RESPONSE_HASH: Final = "spanwise.response.hash"
RESPONSE_NEW_CHARACTERS: Final = "spanwise.response.new_characters"
"""Of what was returned, what nothing had returned before in this run; only such lines count as read or not."""
CONNECTION_NEW: Final = "spanwise.connection.new"
"""True on a call that had to open a connection first."""
CONNECTION_SECONDS: Final = "spanwise.connection.seconds"
"""Recorded seconds that opening it took (name, TCP and TLS), as far as the client could see."""

Operation = Literal["invoke_workflow", "invoke_agent", "plan", "chat", "embeddings", "execute_tool", "retrieval"]
CacheResult = Literal["hit", "miss", "stale", "bypass", "coalesced"]
WaitKind = Literal[
    "rate_limit", "concurrency", "retry_backoff", "circuit_open", "connection", "queue", "lock", "task", "timer",
    "executor", "future", "human", "unknown",
]  # fmt: skip
LinkReason = Literal["waits_on", "spawned_by", "admitted_by"]

ATTEMPT_SPAN: Final = "attempt"
"""The span of one request of a model call that took several."""
CACHE_LOOKUP_SPAN: Final = "cache_lookup"
WAIT_SPAN: Final = "wait"
STEP_SPAN: Final = "step"

# Metric families
Kind = Literal["histogram", "counter", "gauge"]
BASE_LABELS: Final = ("gen_ai_workflow_name", "gen_ai_agent_name")

CALL_SECONDS_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
AGENT_SECONDS_BUCKETS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
WORKFLOW_SECONDS_BUCKETS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
TOKEN_BUCKETS: Final = tuple(float(4**exponent) for exponent in range(14))
TOKENS_PER_SECOND_BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


class Metric(NamedTuple):
    """A Prometheus metric family as both the process and the collector expose it."""

    name: str
    """Family name with unit; a counter's name ends in `_total`."""
    kind: Kind
    labels: tuple[str, ...]
    """Labels besides `BASE_LABELS`; each is an attribute name with `_` for `.`."""
    help: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in the unit of the name."""

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Base labels, then the metric's own."""
        return tuple(dict.fromkeys(BASE_LABELS + self.labels))


_CALL = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name", "error_type")

OPERATION_DURATION: Final = Metric(
    "gen_ai_client_operation_duration_seconds", "histogram", _CALL,
    "Duration of a model call.", CALL_SECONDS_BUCKETS,
)  # fmt: skip
TOKEN_USAGE: Final = Metric(
    "gen_ai_client_token_usage", "histogram", (*_CALL, "gen_ai_token_type"),
    "Tokens a model call used, by type.", TOKEN_BUCKETS,
)  # fmt: skip
TIME_TO_FIRST_CHUNK: Final = Metric(
    "gen_ai_client_operation_time_to_first_chunk_seconds", "histogram", ("gen_ai_request_model",),
    "Time from request to the first chunk of a stream.", CALL_SECONDS_BUCKETS,
)  # fmt: skip
TIME_PER_OUTPUT_CHUNK: Final = Metric(
    "gen_ai_client_operation_time_per_output_chunk_seconds", "histogram", ("gen_ai_request_model",),
    "Mean time between the chunks of a stream, one observation a stream.", CALL_SECONDS_BUCKETS,
)  # fmt: skip
OUTPUT_TOKENS_PER_SECOND: Final = Metric(
    "spanwise_output_tokens_per_second", "histogram", ("gen_ai_request_model",),
    "Output tokens of a streamed model call over the time after its first chunk.", TOKENS_PER_SECOND_BUCKETS,
)  # fmt: skip
PROMPT_CACHE_READ_TOKENS: Final = Metric(
    "spanwise_prompt_cache_read_tokens_total", "counter", ("gen_ai_request_model",),
    "Input tokens that the provider read from its prompt cache.",
)  # fmt: skip
AGENT_DURATION: Final = Metric(
    "gen_ai_invoke_agent_duration_seconds", "histogram", ("error_type",),
    "Duration of an agent's invocation.", AGENT_SECONDS_BUCKETS,
)  # fmt: skip
WORKFLOW_DURATION: Final = Metric(
    "gen_ai_invoke_workflow_duration_seconds", "histogram", ("error_type",),
    "Duration of a workflow.", WORKFLOW_SECONDS_BUCKETS,
)  # fmt: skip
TOOL_DURATION: Final = Metric(
    "gen_ai_execute_tool_duration_seconds", "histogram", ("gen_ai_tool_name", "error_type"),
    "Duration of a tool call.", CALL_SECONDS_BUCKETS,
)  # fmt: skip
CACHE_LOOKUPS: Final = Metric(
    "spanwise_cache_lookups_total", "counter",
    ("spanwise_cache_name", "spanwise_cache_tier", "spanwise_cache_result"), "Cache lookups, by result.",
)  # fmt: skip
CACHE_LOOKUP_DURATION: Final = Metric(
    "spanwise_cache_lookup_duration_seconds", "histogram", ("spanwise_cache_name",),
    "Duration of a cache lookup.", CALL_SECONDS_BUCKETS,
)  # fmt: skip
CACHE_SAVED_SECONDS_TOTAL: Final = Metric(
    "spanwise_cache_saved_seconds_total", "counter", ("spanwise_cache_name",),
    "Seconds that hits did not spend again.",
)  # fmt: skip
CACHE_SAVED_TOKENS_TOTAL: Final = Metric(
    "spanwise_cache_saved_tokens_total", "counter", ("spanwise_cache_name",), "Tokens that hits did not spend again.",
)  # fmt: skip
WAIT_SECONDS: Final = Metric(
    "spanwise_wait_seconds_total", "counter", ("spanwise_wait_kind", "spanwise_wait_resource"),
    "Seconds in recorded waits, by kind and resource.",
)  # fmt: skip
ATTEMPTS_TOTAL: Final = Metric(
    "spanwise_attempts_total", "counter", ("error_type",), "Requests of model calls, repeated ones included.",
)  # fmt: skip
RETRIES: Final = Metric(
    "spanwise_retries_total", "counter", ("error_type",), "Failed attempts that were tried again.",
)  # fmt: skip
WORKFLOW_TOKENS_PER_SECOND: Final = Metric(
    "spanwise_workflow_tokens_per_second", "histogram", (),
    "Input and output tokens of a workflow over its duration.", TOKENS_PER_SECOND_BUCKETS,
)  # fmt: skip
BUDGET_SECONDS: Final = Metric(
    "spanwise_budget_seconds_total", "counter", ("spanwise_budget_bucket",),
    "Wall clock of workflows by what they waited for.",
)  # fmt: skip
COST_TOTAL: Final = Metric(
    "spanwise_cost_total", "counter", ("gen_ai_request_model", "currency"),
    "Cost of model calls whose price is known.",
)  # fmt: skip

# The ledger's metrics: not of spans, so neither the collector nor the parity of the two has them. OpenMetrics takes the
# suffix off a counter's family, so that the gauge cannot be called `spanwise_spans`.
LEDGER_TOTAL: Final = "spanwise_spans_total"
LEDGER_TOTAL_LABELS: Final[tuple[str, ...]] = ("state", "reason", "destination")
LEDGER_CURRENT: Final = "spanwise_spans_current"
LEDGER_CURRENT_LABELS: Final[tuple[str, ...]] = ("state", "destination")

METRICS: Final[tuple[Metric, ...]] = (
    OPERATION_DURATION, TOKEN_USAGE, TIME_TO_FIRST_CHUNK, TIME_PER_OUTPUT_CHUNK, OUTPUT_TOKENS_PER_SECOND,
    PROMPT_CACHE_READ_TOKENS, AGENT_DURATION, WORKFLOW_DURATION, TOOL_DURATION, CACHE_LOOKUPS, CACHE_LOOKUP_DURATION,
    CACHE_SAVED_SECONDS_TOTAL, CACHE_SAVED_TOKENS_TOTAL, WAIT_SECONDS, ATTEMPTS_TOTAL, RETRIES,
    WORKFLOW_TOKENS_PER_SECOND, BUDGET_SECONDS, COST_TOTAL,
)  # fmt: skip
"""All span-derived metrics; the collector's configuration derives the same ones."""
LABELS: Final = frozenset(label for metric in METRICS for label in metric.all_labels)


def span_name(head: str, subject: str | None) -> str:
    """Return `head subject`, or `head` alone where there is no subject (a rule of the conventions)."""
    return f"{head} {subject}" if subject else head


def budget_attribute(bucket: str) -> str:
    """Return the attribute of a workflow's span that says how many seconds its path spent on `bucket`."""
    return f"spanwise.budget.{bucket}"


def label_of(attribute: str) -> str:
    """Return the Prometheus label of an attribute: dots become underscores."""
    return attribute.replace(".", "_")
