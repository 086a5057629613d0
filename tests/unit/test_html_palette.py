"""The buckets' colours can be told apart, by people with each kind of colour blindness too, on either page."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.render.html.palette import INKS, Ink, stylesheet

Vector = npt.NDArray[np.float64]

SIGHT = {
    "usual": np.eye(3),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What is seen of linear RGB: Machado, Oliveira and Fernandes 2009, full severity."""
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""From linear RGB to Oklab: Ottosson 2020."""
LEAST = 0.085
"""Distance in Oklab; 0.02 is what one can just tell apart side by side."""


def linear(colour: str) -> Vector:
    shares = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def seen(colour: str, sight: Vector) -> Vector:
    found: Vector = TO_LAB @ np.cbrt(TO_CONES @ np.clip(sight @ linear(colour), 0, 1))
    return found


@pytest.mark.parametrize("page", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_of_one_pattern_differ(page: Literal["light", "dark"], sight: str) -> None:
    def pick(ink: Ink) -> str:
        return ink.light if page == "light" else ink.dark

    alike = [
        (one.label, other.label)
        for one, other in itertools.combinations(INKS.values(), 2)
        if one.hatched == other.hatched
        and float(np.linalg.norm(seen(pick(one), SIGHT[sight]) - seen(pick(other), SIGHT[sight]))) < LEAST
    ]

    assert alike == []


def test_every_bucket_has_a_colour_a_pattern_and_a_name_of_its_own() -> None:
    assert tuple(INKS) == BUCKETS
    assert len({ink.label for ink in INKS.values()}) == len(BUCKETS)
    assert {bucket for bucket, ink in INKS.items() if ink.hatched} == {
        "wait_rate_limit", "wait_concurrency", "wait_retry", "wait_circuit", "connect", "queue", "human",
    }  # fmt: skip


def test_the_style_sheet_has_both_pages_colours() -> None:
    assert "--b-tool:light-dark(#0e8c41,#44764f);" in stylesheet()
