"""Where each setting comes from, which of several wins, and what a value that cannot be used is answered with."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise.config.settings import DESTINATIONS, Settings, Sourced, declarations, masked, resolve, settings_of
from spanwise.content.policy import KINDS
from spanwise.destinations import langsmith, otlp
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def resolved(
    folder: Path, code: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, Sourced]:
    return resolve(code or {}, environment=environment or {}, directory=folder)


def project(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_every_setting_is_its_default(tmp_path: Path) -> None:
    found = resolved(tmp_path)
    assert settings_of(found) == Settings()
    assert {one.source for one in found.values()} == {"default"}


def test_code_wins_over_our_variable_over_opentelemetrys_over_the_project_over_the_default(tmp_path: Path) -> None:
    path = project(tmp_path, '[tool.spanwise]\nservice_name = "project"\n')
    ours, theirs = {"SPANWISE_SERVICE_NAME": "ours"}, {"OTEL_SERVICE_NAME": "theirs"}
    assert [
        resolved(tmp_path, {"service_name": "code"}, ours | theirs)["service_name"],
        resolved(tmp_path, {"service_name": None}, ours | theirs)["service_name"],
        resolved(tmp_path, {}, theirs)["service_name"],
        resolved(tmp_path)["service_name"],
    ] == [
        Sourced("code", "code"),
        Sourced("ours", "SPANWISE_SERVICE_NAME"),
        Sourced("theirs", "OTEL_SERVICE_NAME"),
        Sourced("project", str(path)),
    ]


ENVIRONMENT = {
    "SPANWISE_SERVICE_NAME": "desk",
    "SPANWISE_JOURNAL_DIR": "/runs",
    "SPANWISE_DURABILITY": "sync",
    "SPANWISE_JOURNAL_INTERVAL": "0.5",
    "SPANWISE_BUFFER_SIZE": "8 MiB",
    "SPANWISE_JOURNAL_SIZE": "1.5GiB",
    "SPANWISE_JOURNAL_AGE": "3600",
    "SPANWISE_METRICS_PORT": "9464",
    "SPANWISE_TIME_SCALE": "20",
    "SPANWISE_WAIT_THRESHOLD": "0.5",
    "SPANWISE_CAUSALITY": "sampled",
    "SPANWISE_RUN_BUDGET": "no",
    "SPANWISE_SHUTDOWN_TIMEOUT": "2.5",
    "SPANWISE_CAPTURE_CONTENT": "prompts, tool_results",
    "SPANWISE_FINGERPRINTS": "yes",
    "SPANWISE_EXCEPTIONS": "message",
    "SPANWISE_CONTENT_LIMIT": "1000",
    "SPANWISE_REDACT": "false",
    "SPANWISE_REDACT_PATTERNS": "ACME-[0-9]+\n employee [0-9]{6}",
    "SPANWISE_ALLOW_ATTRIBUTES": "app.tenant, app.labels.*",
    "SPANWISE_SPAN_HOOK": "desk.privacy:keep",
    "SPANWISE_PROPAGATE_TO": "*.Internal, localhost:8080",
    "SPANWISE_THREAD_CONTEXT": "no",
    "SPANWISE_INTEGRATIONS": "none",
    "SPANWISE_DISABLED": "true",
    "SPANWISE_OTLP_ENDPOINT": "http://collector:4318",
    "SPANWISE_OTLP_PROTOCOL": "grpc",
    "SPANWISE_OTLP_CONTENT": "none",
    "SPANWISE_OTLP_DROP": "name=wait *\nhttp.route=/health*",
    "SPANWISE_OTLP_WAITS": "no",
    "SPANWISE_LANGSMITH_PROJECT": "desk",
    "SPANWISE_LANGSMITH_CONTENT": "prompts",
    "SPANWISE_LANGSMITH_DROP": "name=step *",
    "SPANWISE_LANGSMITH_WAITS": "yes",
}
SENT_TO = (
    ("otlp", otlp.Settings("http://collector:4318", "grpc", (), ("name=wait *", "http.route=/health*"), waits=False)),
    ("langsmith", langsmith.Settings("desk", ("prompts",), ("name=step *",), waits=True)),
)
GIVEN = Settings(
    service_name="desk",
    journal_dir="/runs",
    durability="sync",
    journal_interval=0.5,
    buffer_size=8 * 2**20,
    journal_size=3 * 2**29,
    journal_age=3600.0,
    metrics_port=9464,
    time_scale=20.0,
    wait_threshold=0.5,
    causality="sampled",
    run_budget=False,
    shutdown_timeout=2.5,
    capture_content=("prompts", "tool_results"),
    fingerprints=True,
    exceptions="message",
    content_limit=1000,
    redact=False,
    redact_patterns=("ACME-[0-9]+", "employee [0-9]{6}"),
    allow_attributes=("app.tenant", "app.labels.*"),
    span_hook="desk.privacy:keep",
    propagate_to=("*.internal", "localhost:8080"),
    thread_context=False,
    integrations=(),
    disabled=True,
    destinations=SENT_TO,
)


def test_every_setting_can_be_given_in_the_environment(tmp_path: Path) -> None:
    found = resolved(tmp_path, environment=ENVIRONMENT)
    assert settings_of(found) == GIVEN
    assert [one.source for one in found.values()] == list(ENVIRONMENT)


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("OTEL_SERVICE_NAME", "desk", "service_name", "desk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "otlp.endpoint", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces", "otlp.endpoint", "http://c:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "otlp.protocol", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "otlp.protocol", "grpc"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT", "capture_content", ()),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY", "capture_content", KINDS),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "EVENT_ONLY", "capture_content", ()),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_and_event", "capture_content", KINDS),
        ("OTEL_SDK_DISABLED", "true", "disabled", True),
        ("OTEL_SDK_DISABLED", "FALSE", "disabled", False),
        ("OTEL_SDK_DISABLED", "1", "disabled", False),  # OpenTelemetry knows no other word than true
        ("OTEL_SDK_DISABLED", "True", "disabled", True),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a,service.name=my%20desk, x=y", "service_name", "my desk"),
    ],
)
def test_opentelemetrys_variables_are_heard(
    variable: str, value: str, name: str, expected: object, tmp_path: Path
) -> None:
    assert resolved(tmp_path, environment={variable: value})[name] == Sourced(expected, variable)


def test_the_variable_for_traces_wins_over_the_one_for_all_signals(tmp_path: Path) -> None:
    both = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318",
    }
    assert resolved(tmp_path, environment=both)["otlp.endpoint"].value == "http://traces:4318"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert resolved(tmp_path, environment={"SPANWISE_METRICS_PORT": " "})["metrics_port"] == Sourced(None, "default")


def test_a_tilde_in_the_journal_folder_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = resolved(tmp_path, environment={"SPANWISE_JOURNAL_DIR": "~/runs"})
    assert found["journal_dir"] == Sourced("/home/me/runs", "SPANWISE_JOURNAL_DIR")


def test_the_nearest_pyproject_upwards_is_read(tmp_path: Path) -> None:
    path = project(tmp_path, "[tool.spanwise]\nmetrics_port = 9000\n")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert resolved(deep)["metrics_port"] == Sourced(9000, str(path))


def test_a_pyproject_without_our_table_changes_nothing(tmp_path: Path) -> None:
    project(tmp_path, '[project]\nname = "x"\n')
    assert settings_of(resolved(tmp_path)) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "needs"),
    [
        ("durability", "always", "interval or sync"),
        ("journal_interval", 0, "a number of seconds above 0"),
        ("buffer_size", "64 Mio", "a number of bytes, such as 64 MiB"),
        ("buffer_size", 0, "a number of bytes, such as 64 MiB"),
        ("journal_size", "-1 GiB", "a number of bytes, such as 1 GiB"),
        ("journal_age", "14 days", "a number of seconds above 0"),
        ("endpoint", "localhost:4318", "an address such as http://127.0.0.1:4318"),
        ("endpoint", "http://", "an address such as http://127.0.0.1:4318"),
        ("endpoint", "http://host:99999", "an address such as http://127.0.0.1:4318"),
        ("protocol", "http/json", "http/protobuf or grpc"),
        ("metrics_port", "70000", "a port from 0 to 65535"),
        ("metrics_port", True, "a port from 0 to 65535"),
        ("time_scale", 0, "a number above 0"),
        ("time_scale", "nan", "a number above 0"),
        ("wait_threshold", -1, "a number of seconds of at least 0"),
        ("shutdown_timeout", "inf", "a number of seconds of at least 0"),
        ("capture_content", "thoughts", f"none, all, or some of {', '.join(KINDS)}"),
        ("exceptions", "all", "type, message or stacktrace"),
        ("content_limit", 10, "a number of characters of at least 256"),
        ("redact", "perhaps", "true or false"),
        ("redact_patterns", "(", "regular expressions, one a line, that match at least a character"),
        ("redact_patterns", "a*", "regular expressions, one a line, that match at least a character"),
        ("span_hook", "module", "module:function"),
        ("otlp_content", "some", f"same, none, or some of {', '.join(KINDS)}"),
        ("otlp_drop", "name=", "rules, one a line, such as name=step * or http.route=/health*"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_place_and_what_is_needed(
    name: str, value: object, needs: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as in_code:
        resolved(tmp_path, {name: value})
    assert str(in_code.value) == f"configure({name}=…): {str(value)!r} cannot be used; give {needs}"
    with pytest.raises(InputError) as in_environment:
        resolved(tmp_path, environment={f"SPANWISE_{name.upper()}": str(value)})
    assert str(in_environment.value) == f"SPANWISE_{name.upper()}: {str(value)!r} cannot be used; give {needs}"


def test_a_bad_value_in_the_project_is_named_with_its_file_and_key(tmp_path: Path) -> None:
    path = project(tmp_path, '[tool.spanwise]\nmetrics_port = "many"\n')
    with pytest.raises(InputError) as error:
        resolved(tmp_path)
    assert str(error.value) == (
        f"{path}: [tool.spanwise] metrics_port: 'many' cannot be used; give a port from 0 to 65535"
    )


def test_an_unknown_key_in_the_project_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    path = project(tmp_path, '[tool.spanwise]\njournal = "x"\n')
    with pytest.raises(InputError) as error:
        resolved(tmp_path)
    assert str(error.value).startswith(
        f"{path}: [tool.spanwise]: unknown key 'journal'; did you mean 'journal_dir'? Allowed: "
        "allow_attributes, buffer_size, capture_content, "
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.spanwise\n", "cannot be read ("),
        ("[tool]\nspanwise = 3\n", "tool.spanwise is no table; write [tool.spanwise] with one key a line"),
    ],
)
def test_a_pyproject_that_cannot_be_read_is_named(text: str, problem: str, tmp_path: Path) -> None:
    path = project(tmp_path, text)
    with pytest.raises(InputError) as error:
        resolved(tmp_path)
    assert str(error.value).startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    "text",
    [
        '[tool.spanwise]\nservice_name = "desk"\n',
        '[ tool . spanwise ]\nservice_name = "desk"\n',
        '[tool."spanwise"]\nservice_name = "desk"\n',
        "[ tool . 'spanwise' ]\nservice_name = 'desk'\n",
        '[tool]\nspanwise.service_name = "desk"\n',
        '[tool]\n"spanwise" = {service_name = "desk"}\n',
        'tool = {other = 1, spanwise = {service_name = "desk"}}\n',
        '[project]\ndependencies = ["spanwise"]\n[tool]\nspanwise\t.service_name="desk"\n',
        'tool.spanwise.service_name = "desk"\n',
    ],
)
def test_a_table_is_found_however_toml_lets_it_be_written(text: str, tmp_path: Path) -> None:
    project(tmp_path, text)
    assert settings_of(resolved(tmp_path)).service_name == "desk"


def test_a_project_that_only_depends_on_this_is_not_parsed(tmp_path: Path) -> None:
    project(tmp_path, "[project]\ndependencies = ['spanwise', \"spanwise>=1\", 'spanwise[grpc]']\n[ not toml\n")
    assert settings_of(resolved(tmp_path)) == Settings()


def test_a_tool_entry_that_is_no_table_is_somebody_elses_business(tmp_path: Path) -> None:
    project(tmp_path, "tool = 3\n")
    assert settings_of(resolved(tmp_path)) == Settings()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://collector:4318", "http://collector:4318"),
        ("https://me:secret@collector:4318/x?y=1", "https://me:***@collector:4318/x?***"),
        ("https://token@collector", "https://***@collector"),
        ("http://[", "http://["),
        ("runs?/me@home", "runs?/me@home"),
    ],
)
def test_a_password_and_a_query_in_an_address_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_an_error_over_an_address_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        resolved(tmp_path, {"endpoint": "ftp://me:secret@collector"})
    assert "'ftp://me:***@collector'" in str(error.value)
    assert "secret" not in str(error.value)


def test_settings_of_a_destination_can_be_nested_or_flat_in_code(tmp_path: Path) -> None:
    nested = resolved(
        tmp_path, {"otlp": {"endpoint": "http://c:4318", "content": "none"}, "langsmith": {"waits": True}}
    )
    flat = resolved(tmp_path, {"endpoint": "http://c:4318", "otlp_content": "none", "langsmith_waits": True})
    assert nested == flat
    assert nested["otlp.content"] == Sourced((), "code")
    assert settings_of(nested).destinations == (("otlp", otlp.Settings("http://c:4318", content=())),)


@pytest.mark.parametrize(
    "text",
    [
        '[tool.spanwise]\notlp.drop = "name=a*"\nlangsmith.project = "desk"\n',
        '[tool.spanwise.otlp]\ndrop = ["name=a*"]\n[tool.spanwise.langsmith]\nproject = "desk"\n',
        '[tool.spanwise]\notlp_drop = "name=a*"\nlangsmith_project = "desk"\n',
    ],
)
def test_settings_of_a_destination_can_be_nested_or_flat_in_the_project(text: str, tmp_path: Path) -> None:
    path = project(tmp_path, text)
    found = resolved(tmp_path)
    assert found["otlp.drop"] == Sourced(("name=a*",), str(path))
    assert found["langsmith.project"] == Sourced("desk", str(path))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({"endpoint": "http://a", "otlp": {"endpoint": "http://b"}}, "otlp.endpoint is given twice; give it once"),
        ({"otlp": "http://a"}, "configure(otlp=…): not a mapping; give settings of otlp, such as {'drop': …}"),
        ({"otlp": {"dorp": "name=a"}}, "configure(): unknown key 'otlp.dorp'; did you mean 'otlp.drop'?"),
        ({"servce_name": "x"}, "configure(): unknown key 'servce_name'; did you mean 'service_name'?"),
        ({"otlp": {"drop": "="}}, "configure(otlp.drop=…): '=' cannot be used; give rules, one a line, such as "),
    ],
)
def test_what_is_wrong_with_a_group_of_settings_is_said(code: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        resolved(tmp_path, code)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "posted_to"),
    [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/custom/", "http://c:4318/custom/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces?k=1", "http://c:4318/v1/traces?k=1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base", "http://c:4318/base/v1/traces"),
        ("SPANWISE_ENDPOINT", "http://c:4318", "http://c:4318/v1/traces"),
        ("SPANWISE_ENDPOINT", "http://c:4318/v1/traces", "http://c:4318/v1/traces"),
    ],
)
def test_only_the_endpoint_for_traces_is_used_as_it_is(
    variable: str, value: str, posted_to: str, tmp_path: Path
) -> None:
    found = settings_of(resolved(tmp_path, environment={variable: value})).destination("otlp")
    assert otlp.traces_address(found.endpoint) == posted_to


def test_a_service_name_of_its_own_variable_wins_over_the_one_among_resource_attributes(tmp_path: Path) -> None:
    environment = {"OTEL_SERVICE_NAME": "its own", "OTEL_RESOURCE_ATTRIBUTES": "service.name=among others"}
    assert resolved(tmp_path, environment=environment)["service_name"] == Sourced("its own", "OTEL_SERVICE_NAME")
    assert resolved(tmp_path, environment={"OTEL_RESOURCE_ATTRIBUTES": "team=a"})["service_name"].source == "default"


def test_a_relative_journal_folder_is_fixed_when_the_settings_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for code, environment in (({"journal_dir": "runs"}, {}), ({}, {"SPANWISE_JOURNAL_DIR": "runs"})):
        assert resolved(tmp_path, code, environment)["journal_dir"].value == str(tmp_path / "runs")


def test_without_a_working_folder_settings_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert settings_of(resolve({}, environment={})) == Settings()
    with pytest.raises(InputError, match="'runs' cannot be used; give a folder"):
        resolve({"journal_dir": "runs"}, environment={})


def test_configure_takes_what_is_declared_and_nothing_else() -> None:
    parameters = inspect.signature(spanwise.configure).parameters
    nested = [name for name in declarations() if name.startswith(("otlp.", "langsmith."))]  # others have no flat names
    flat = {name.replace(".", "_") for name in nested} - {"otlp_endpoint", "otlp_protocol"} | {"endpoint", "protocol"}
    top = [name for name in declarations() if "." not in name and name != "disabled"]
    assert list(parameters)[: len(top)] == top
    assert set(list(parameters)[len(top) : -1]) == flat
    assert parameters["destinations"].kind is inspect.Parameter.VAR_KEYWORD
    assert not set(DESTINATIONS) & set(top)
