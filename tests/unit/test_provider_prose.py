from __future__ import annotations

import re

import pytest

from spanwise_pipeline.provider import facts, instructions
from spanwise_pipeline.provider.prose import prose


@pytest.mark.parametrize("words", [1, 2, 7, 8, 14, 15, 16, 17, 29, 100, 999])
def test_prose_has_exactly_the_words_asked_for(words: int) -> None:
    assert len(prose("rsi", "55.2", words).split()) == words


def test_sentences_have_8_to_14_words() -> None:
    lengths = {len(s.split()) for i in range(50) for s in prose("rsi", str(i), 60).split(".") if s}

    assert lengths == set(range(8, 15))


def test_prose_belongs_to_the_fact() -> None:
    assert prose("rsi", "1", 20) == prose("rsi", "1", 20)
    assert len({prose("rsi", "1", 20), prose("rsi", "2", 20), prose("price", "1", 20)}) == 3


def test_prose_reads_as_neither_fact_nor_instruction() -> None:
    texts = [prose(name, str(i), 50) for name in ("state", "compute") for i in range(200)]
    sentences = [sentence.strip() for text in texts for sentence in re.split(r"(?<=\.) ", text)]

    assert facts.parse(texts + sentences) == {}
    assert instructions.parse(texts + sentences) == instructions.Instructions()
    assert not any("\n" in text or " = " in text for text in texts)
