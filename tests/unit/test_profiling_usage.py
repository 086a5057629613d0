"""Tokens and money: sums per call, agent and model; prices by day; what is unknown stays unknown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import BEGIN_NS, agent, chat, identifier, run_of, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling import prices
from spanwise_profiling.prices import Price, Prices
from spanwise_profiling.usage import Repeated, usage_of

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.usage import Usage

PAGE = Path(__file__).parents[2] / "docs" / "usage.md"
CENT = Price(date(2020, 1, 1), input=0.01, cached_input=0.001, output=0.1, source="")
TABLE = Prices("USD", {"sim-1": (CENT,)})


def usage(*spans: SpanRecord, table: Prices = TABLE) -> Usage:
    return usage_of(run_of(workflow(1, 0, 10, scale=2.0), *spans), table)


def streamed(number: int, start: float, end: float, **more: Any) -> SpanRecord:
    attributes = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5, **more.pop("attributes", {})}
    return chat(number, start, end, attributes=attributes, **more)


def test_a_call_s_tokens_speed_and_cost() -> None:
    [call] = usage(
        agent(2, 0, 4, name="risk", parent=1),
        streamed(3, 0, 1, parent=2, tokens=(100, 30), attributes={c.USAGE_CACHE_READ_INPUT_TOKENS: 40}),
    ).calls
    assert (call.agent, call.model, call.input_tokens, call.cached_tokens, call.output_tokens) == (
        "risk",
        "sim-1",
        100,
        40,
        30,
    )
    assert (call.seconds, call.tokens_per_second) == (2.0, 15.0)
    assert (call.decode_seconds, call.decode_tokens_per_second) == (1.0, 30.0)
    assert call.cost == pytest.approx(60 * 0.01 + 40 * 0.001 + 30 * 0.1)


def test_sums_per_agent_and_model_and_a_total() -> None:
    found = usage(
        agent(2, 0, 4, name="risk", parent=1),
        chat(3, 0, 1, parent=2, tokens=(100, 10)),
        chat(4, 1, 2, parent=2, tokens=(100, 10)),
        agent(5, 4, 8, name="news", parent=1),
        chat(6, 4, 5, parent=5, tokens=(1000, 10), model="other"),
    )
    assert [(one.name, one.calls, one.input_tokens, one.unpriced) for one in found.agents] == [
        ("news", 1, 1000, 1),
        ("risk", 2, 200, 0),
    ]
    assert [(one.name, one.cost) for one in found.models] == [("other", None), ("sim-1", pytest.approx(4.0))]
    assert (found.total.calls, found.total.cost, found.total.unpriced) == (3, None, 1)
    assert found.total.tokens_per_second == 30 / 6


def test_a_price_that_is_not_known_is_unknown_and_never_nothing() -> None:
    no_usage = chat(3, 0, 1, parent=1)
    bare = {name: value for name, value in no_usage.attributes.items() if "usage" not in name}
    [call] = usage(replace(no_usage, attributes=bare)).calls
    assert call.cost is None
    cached = chat(3, 0, 1, parent=1, attributes={c.USAGE_CACHE_READ_INPUT_TOKENS: 5})
    stated = Price(date(2020, 1, 1), input=1.0, cached_input=None, output=1.0, source="")
    assert usage(cached, table=Prices("USD", {"sim-1": (stated,)})).calls[0].cost is None


def test_the_newest_price_that_is_not_after_the_call_holds() -> None:
    def since(year: int) -> Price:
        return Price(date(year, 1, 1), input=year, cached_input=None, output=0.0, source="")

    table = Prices("USD", {"m": (since(2030), since(2026), since(2020))})
    assert table.of("m", BEGIN_NS) == since(2026)
    assert table.of("m-2026-05-01", BEGIN_NS) == since(2026)
    assert table.of("m", 0) is None
    assert table.of("m-2", BEGIN_NS) is None


def test_calls_that_asked_the_same_and_prompts_that_began_alike() -> None:
    def asking(number: int, digest: str, prefixes: str, **more: Any) -> SpanRecord:
        about = {c.REQUEST_HASH: digest, c.REQUEST_PREFIX_HASHES: prefixes, **more}
        return chat(number, number, number + 1, parent=1, tokens=(100, 10), attributes=about)

    found = usage(
        asking(2, "q", "a b"), asking(3, "q", "a b"), asking(4, "r", "a c"), asking(5, "r", "x", **{c.RETRY_ATTEMPT: 2})
    )
    assert found.identical == (Repeated((identifier(2), identifier(3)), 100, 10),)
    assert found.repeated_prefix_tokens == 512 + 256


def test_every_shipped_price_has_a_day_and_a_page() -> None:
    table = prices.load()
    assert table.currency == "USD"
    for known in table.entries.values():
        assert all(price.source.startswith("https://") and price.since < date(2026, 11, 22) for price in known)
    price = table.of("gpt-4.1-2025-04-14", BEGIN_NS)
    assert price is not None
    assert price.of(1_000_000, 0, 1_000_000) == pytest.approx(10.0)


HEAD = 'currency = "USD"\ntokens = 1\n[[price]]\nmodels = ["m"]\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prices", "cannot be read"),
        ('currency = "USD"', "tokens = 1_000_000"),
        ('currency = "USD"\ntokens = 1', "holds no [[price]]"),
        (f"{HEAD}model = 'm'", "price 1: unknown key 'model'; did you mean"),
        (HEAD, "price 1: since is missing"),
        (f'{HEAD}since = "now"\ninput = 1\noutput = 1\nsource = ""', "price 1: since is no day"),
        (f'{HEAD}since = 2026-01-01\ninput = -1\noutput = 1\nsource = ""', "price 1: input is no amount"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    table = tmp_path / "prices.toml"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(problem)) as refused:
        prices.load(table)
    assert str(refused.value).startswith(str(table))
    assert "\n" not in str(refused.value)


def test_prices_may_stand_in_any_order_in_a_table(tmp_path: Path) -> None:
    entry = '[[price]]\nmodels = ["m"]\nsince = {}-01-01\ninput = {}\noutput = 0\nsource = ""\n'
    table = tmp_path / "prices.toml"
    years = (2025, 2030, 2026, 2020)
    table.write_text('currency = "USD"\ntokens = 1\n' + "".join(entry.format(year, year) for year in years))
    price = prices.load(table).of("m", BEGIN_NS)
    assert price is not None
    assert price.input == 2026


def test_the_page_s_table_is_read(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    [table] = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "own.toml").write_text(table, encoding="utf-8")
    assert prices.load(tmp_path / "own.toml").currency == "EUR"
