"""The pytest plugin: a marker and a fixture that record what a test runs and judge it by limits, budgets, a baseline.

Every pytest of an environment with spanwise loads this module, so it imports nothing but pytest: what records and
judges is loaded by the first test that asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from spanwise_cli.performance import RecordedRuns

_MARKER: Final = "performance"
_HELP: Final = (
    "performance(seconds=, tokens=, model_calls=, cost=, ..., budgets=FILE, baseline=FILE, margin=0.03): record the "
    "test with spanwise, and fail it where its runs take more"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("spanwise", "performance of agent runs (spanwise)")
    group.addoption(
        "--spanwise-journal", metavar="DIR", default=None, help="Keep recorded runs in this folder, for `spanwise`."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _HELP)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record a test that has the marker, and fail it where its runs break a limit."""
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return (yield)
    from spanwise.errors import SpanwiseError  # noqa: PLC0415 - see the module's docstring
    from spanwise_cli.performance import Expected, recorded  # noqa: PLC0415 - likewise

    try:
        expected = Expected.of_marker(marker.args, marker.kwargs, root=item.config.rootpath)
    except SpanwiseError as error:
        raise _misused(error) from None
    with recorded(_journal(item.config)) as runs:
        outcome = yield
    try:
        expected.check(runs)
    except AssertionError as problem:
        raise pytest.fail.Exception(str(problem), pytrace=False) from None
    except SpanwiseError as error:
        raise _misused(error) from None
    return outcome


def _misused(error: Exception) -> BaseException:
    return pytest.fail.Exception(f"@pytest.mark.{_MARKER}: {error}", pytrace=False)


@pytest.fixture
def record_run(pytestconfig: pytest.Config) -> Callable[[], AbstractContextManager[RecordedRuns]]:
    """Return what records the runs of a block, to be judged after it.

    with record_run() as recorded:
        answer("AAPL")
    recorded.check(model_calls=12)
    """
    from spanwise_cli.performance import recorded  # noqa: PLC0415 - see the module's docstring

    return lambda: recorded(_journal(pytestconfig))


def _journal(config: pytest.Config) -> Path | None:
    given: str | None = config.getoption("--spanwise-journal")
    return None if given is None else Path(given).absolute()
