"""Secrets and personal data of real formats go, whatever stands around them; what only looks like some stays."""

from __future__ import annotations

import json
import random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.secret_corpus import LOOK_ALIKES, Example, examples

from spanwise.content import redact
from spanwise.content.redact import Redactor, is_card
from spanwise.errors import InputError

AROUND = [
    "{}", "see {} there", "a\n{}\nb", "a\t{}", 'x="{}"', "({})", "[{}]", "{},", "{}.", "<{}>", "key={}", "'{}'",
]  # fmt: skip
"""What a text is put between."""


def forms(text: str) -> list[str]:
    """Return a text as prompts, logs and messages of exceptions hold it: JSON in JSON, and Python's repr, too."""
    nested = json.dumps({"arguments": json.dumps({"content": text})})
    return [text, json.dumps({"content": text}), json.dumps([text], ensure_ascii=False), nested, repr(text)]


def encoded(text: str) -> list[str]:
    """Return `text` percent-encoded, with digits of both cases."""
    return [quote(text, safe="+/"), quote(text, safe="+/").replace("%3D", "%3d").replace("%3A", "%3a")]


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.kind)
def test_a_secret_of_a_real_format_is_redacted_wherever_it_stands(example: Example) -> None:
    redactor = Redactor()
    kept = [
        form
        for around in AROUND
        for text in [around.replace("{}", example.text)]
        for form in [*forms(text), *encoded(text)]
        if example.secret in (redacted := redactor.text(form)) or json.dumps(example.secret)[1:-1] in redacted
    ]
    assert kept == []
    assert f"[redacted:{example.kind}]" in redactor.text(f"see {example.text} there")


@pytest.mark.parametrize("seed", range(2, 12))
def test_whatever_its_characters_are_no_secret_stays(seed: int) -> None:
    redactor = Redactor()
    assert [one for one in examples(seed) if one.secret in redactor.text(f"see {one.text} there")] == []


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    redactor = Redactor()
    all_forms = [form for around in AROUND[:-1] if "key=" not in around for form in forms(around.replace("{}", text))]
    assert [redactor.text(form) for form in all_forms] == all_forms


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.kind)
def test_json_stays_json(example: Example) -> None:
    for around in AROUND:
        for form in forms(around.replace("{}", example.text))[1:4]:
            json.loads(Redactor().text(form))


def test_redacting_twice_is_the_same_as_once() -> None:
    redactor = Redactor()
    once = [redactor.text(one.text) for one in examples()]
    assert [redactor.text(text) for text in once] == once


def test_several_secrets_in_one_text_all_go() -> None:
    found = examples()
    redacted = Redactor().text("\n".join(one.text for one in found))
    assert [one.kind for one in found if one.secret in redacted] == []


def test_the_text_around_a_secret_stays() -> None:
    assert Redactor().text("mail ada@example.com at 9, card 4111 1111 1111 1111, and call") == (
        "mail [redacted:email] at 9, card [redacted:card], and call"
    )
    assert (
        Redactor().text("postgresql://desk:hunter2@db:5432/runs")
        == "postgresql://desk:[redacted:url_password]@db:5432/runs"
    )


def test_a_rare_at_sign_in_a_long_text_is_found() -> None:
    words = "word " * 2_000
    assert Redactor().text(f"{words}ada@example.com {words}bob%40example.com") == (
        f"{words}[redacted:email] {words}[redacted:email]"
    )


def test_addresses_are_found_alike_where_they_are_rare_and_where_they_are_many() -> None:
    line = "ada@example.com, \\x@example.com, git@example.com, a%40b.example.org; icons/app@3x.webp, user@host\n"
    redacted = "[redacted:email], \\x@example.com, git@example.com, [redacted:email]; icons/app@3x.webp, user@host\n"
    far = " " * 10_000
    assert [Redactor().text(line * 50), Redactor().text(line + far)] == [redacted * 50, redacted + far]


def test_a_long_text_is_redacted_as_its_lines_are_whatever_characters_it_holds() -> None:
    found = [one.text for one in examples() if "\n" not in one.text]
    lines = [f"{text} \x01 {other}" for text, other in zip(found, reversed(found), strict=True)]
    unusual = "".join(map(chr, range(0x01, 0x09))) + "\u3000"
    every = "".join(map(chr, (*range(0x01, 0x0A), *range(0x0E, 0x20), *range(0x7F, 0xA0))))
    for rest in ("", unusual, every):
        long = [*lines, "pwd=abc&" * 1_000, rest, "://a:b@c " * 1_000]
        assert Redactor().text("\n".join(long)).split("\n") == [Redactor().text(line) for line in long]


def test_an_address_is_redacted_whole_however_far_behind_another_at_sign_it_stands() -> None:
    texts = [f"{' ' * 50_000}a@?{' ' * gap}ada@example.com." for gap in range(300)]
    assert [one.lstrip() for one in map(Redactor().text, texts)] == [
        f"a@?{' ' * gap}[redacted:email]." for gap in range(300)
    ]


def test_an_address_with_an_encoded_at_sign_in_front_of_its_own_is_redacted_whole() -> None:
    text = "a%40first.last+tag@mail.example.org"
    assert [Redactor().text(text), Redactor().text(text + " " * 1_000)] == [
        "[redacted:email]", "[redacted:email]" + " " * 1_000
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Secret: 7aaaaaaaaaaa TOKEN=7bbbbbbbbbbb", "Secret: [redacted:secret] TOKEN=[redacted:token]"),
        ("PASSWD=abc PWD=abc PassWord=abc", "PASSWD=[redacted:passwd] PWD=[redacted:pwd] PassWord=[redacted:password]"),
        ("api-Key=7aaaaaaaaaaa", "api-Key=[redacted:key]"),
        ("authorization: digest 7aaaaaaaaaaa", "authorization: digest [redacted:authorization]"),
    ],
)
def test_what_is_redacted_by_its_name_is_called_by_that_name(text: str, redacted: str) -> None:
    assert Redactor().text(text) == redacted


def test_a_text_with_nothing_in_it_comes_back_as_the_same_object() -> None:
    text = f"invoke_agent {AROUND[0]}"
    redactor = Redactor()
    assert redactor.text(text) is text
    assert redactor.text(text) is text


@pytest.mark.parametrize(
    ("name", "value", "redacted"),
    [
        ("note", "ada@example.com", "[redacted:email]"),
        ("notes", ("a", "ada@example.com"), ("a", "[redacted:email]")),
        ("note", b"ada@example.com \xff", b"[redacted:email] \xff"),
        ("card", 4111111111111111, "[redacted:card]"),
        ("start_ns", 1732147200000000000, 1732147200000000000),
        ("digits", 10**30, 10**30),
        ("usage", {"mail": "ada@example.com", "n": 3}, {"mail": "[redacted:email]", "n": 3}),
        ("db.password", "x", "[redacted:attribute]"),
        ("http.request.header.authorization", ("Basic x",), "[redacted:attribute]"),
        ("password", "", ""),
        ("password", False, False),
        ("secret", None, None),
        ("gen_ai.usage.input_tokens", 123456789012, 123456789012),
        ("share", 0.5, 0.5),
    ],
)
def test_values_of_every_kind_are_looked_through(name: str, value: object, redacted: object) -> None:
    assert Redactor().value(name, value) == redacted


def test_own_patterns_are_redacted_whole_or_their_group_secret() -> None:
    redactor = Redactor(["ACME-[0-9]+", "employee (?P<secret>[0-9]{6})"])
    assert redactor.text("ACME-77 by employee 123456") == "[redacted:pattern] by employee [redacted:pattern]"
    assert redactor.text("ok") == "ok"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "redact_patterns: '(' is no regular expression ("),
        ("a*", "redact_patterns: 'a*' matches the empty text; let it match at least a character"),
    ],
)
def test_an_own_pattern_that_cannot_be_used_is_an_error(pattern: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        Redactor([pattern])
    assert str(error.value).startswith(problem)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    redacted = Redactor().text(text)
    assert redacted == text or "[redacted:" in redacted


def test_a_cut_goes_in_front_of_a_secret_that_it_would_halve() -> None:
    redactor = Redactor()
    text = "x" * 90 + " ada@example.com " + "y" * 100
    assert [redactor.cut(text, limit) for limit in (50, 91, 95, 106, 107)] == [50, 91, 91, 106, 107]


def _sum_by_hand(digits: str) -> int:
    """Return the sum of Luhn's checksum."""
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2]) + sum(sum(divmod(2 * value, 10)) for value in values[1::2])


def test_of_many_numbers_exactly_the_cards_go() -> None:
    draw = random.Random(7)
    lengths = {"3": 15, "4": 16, "5": 16, "6": 19}
    firsts = draw.choices(("34", "37", "4", "51", "55", "62"), k=2_000)
    numbers = [first + "".join(draw.choices("0123456789", k=lengths[first[0]] - len(first))) for first in firsts]
    cards = [_sum_by_hand(number) % 10 == 0 for number in numbers]
    assert [is_card(number) for number in numbers] == cards
    redacted = ["[redacted:card]" if card else number for number, card in zip(numbers, cards, strict=True)]
    assert Redactor().text("; ".join(numbers)).split("; ") == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("4111-1111-1111-1111", "[redacted:card]"),
        ("3782 822463 10005", "[redacted:card]"),
        ("3782-822463-10005", "[redacted:card]"),
        ("4111 1111-1111 1111", "4111 1111-1111 1111"),
        ("4111111111111111.5 4111111111111111x", "4111111111111111.5 4111111111111111x"),
        ("3782 8224631 0005; 4111111111111111.", "3782 8224631 0005; [redacted:card]."),
    ],
)
def test_a_card_is_written_plain_or_in_its_groups(text: str, redacted: str) -> None:
    assert Redactor().text(text) == redacted


@pytest.mark.parametrize(
    ("digits", "card"),
    [("4111111111111111", True), ("4111111111111112", False), ("9111111111111111", False), ("411111111111111", False)],
)
def test_a_card_has_an_issuer_a_length_and_a_checksum(digits: str, card: bool) -> None:  # noqa: FBT001 - expected
    assert is_card(digits) is card


def test_an_id_of_32_hexadecimal_digits_is_left_whatever_it_is_made_of() -> None:
    card = "4111111111111111"
    ids = [f"{number:032x}" for number in (0, 1, 1 << 127, int("dead" * 8, 16))] + [card * 2, card + "0" * 16, "9" * 32]
    redactor = Redactor()
    assert [redactor.text(one) for one in ids] == ids
    assert not redactor._clean
    assert [redact._secrets(one) for one in ids] == ids


def test_an_own_pattern_is_looked_for_in_ids_too() -> None:
    assert Redactor(["dead"]).text("dead" * 8) == "[redacted:pattern]" * 8
