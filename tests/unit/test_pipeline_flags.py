"""Flags are typed, checked wherever they come from, and read from YAML and from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanwise.errors import InputError
from spanwise_pipeline import Duration, Flags, flag, load_presets
from spanwise_pipeline.flags import flags_of, parse_setting, show_value

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DeskFlags(Flags):
    """One flag of each kind."""

    parallel: bool = flag("Agents run at the same time.", default=False)
    pool_size: int = flag("Threads for blocking tools.", default=4, least=1, most=64)
    margin: float = flag("Share of a limit that is used.", default=0.9, least=0.1, most=1.0)
    model: str = flag("Which model is asked.", default="large", choices=("large", "small"), changes_answer=True)
    note: str = flag("Any text.", default="")
    ttl: Duration = flag("How long data stay fresh.", default=Duration(300), least=1)


NAMES = "margin, model, note, parallel, pool_size, ttl"
GOOD = "baseline: {}\nfast:\n  parallel: true\n  pool_size: 8\n  margin: 1\n  model: small\n  ttl: 90s\n"


def presets(text: str, folder: Path) -> Any:
    path = folder / "presets.yaml"
    path.write_text(text, encoding="utf-8")
    return load_presets(path, DeskFlags)


def test_presets_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = presets(GOOD, tmp_path)

    fast = DeskFlags(parallel=True, pool_size=8, margin=1.0, model="small", ttl=Duration(90))
    assert list(found.items()) == [("baseline", DeskFlags()), ("fast", fast)]
    assert type(found["fast"].ttl) is Duration


def test_a_preset_can_be_another_name_of_one(tmp_path: Path) -> None:
    found = presets("published: &published {pool_size: 2}\npartial: *published\n", tmp_path)

    assert found["partial"] == found["published"] == DeskFlags(pool_size=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("pool_size", "pool_sise"),
            f":4: fast: unknown key 'pool_sise'; did you mean 'pool_size'? Allowed: {NAMES}",
        ),
        (GOOD.replace("true", "1"), ":3: fast.parallel: true or false is needed, this is integer"),
        (GOOD.replace("8", '"8"'), ":4: fast.pool_size: an integer is needed, this is text"),
        (GOOD.replace("8", "0"), ":3: fast: pool_size is a whole number from 1 to 64, this is 0"),
        (GOOD.replace("small", "tiny"), ":3: fast: model is one of large, small, this is 'tiny'"),
        (
            GOOD.replace("90s", "soon"),
            ":7: fast.ttl: 'soon' is not a duration; write seconds, or a number and ms, s, m, h or d, such as 5m",
        ),
        (GOOD.replace("90s", "[1]"), ":7: fast.ttl: a duration is needed, this is a list"),
        (GOOD.replace("90s", "500ms"), ":3: fast: ttl is a duration such as 90s or 5m of at least 1s, this is 0.5"),
        (GOOD + "fast: {}\n", ":8: duplicate key 'fast' (first on line 2); remove one of the two"),
        ("", ": no preset; write one, such as 'baseline: {}'"),
        ("- fast\n", ":1: 'key: value' lines are needed, this is a list"),
    ],
)
def test_a_bad_preset_is_one_line_with_file_line_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        presets(text, tmp_path)

    assert str(caught.value) == f"{tmp_path / 'presets.yaml'}{message}"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("parallel=on", ("parallel", True)),
        ("parallel=False", ("parallel", False)),
        ("pool_size=8", ("pool_size", 8)),
        ("margin=0.5", ("margin", 0.5)),
        ("model=small", ("model", "small")),
        ("note=a=b", ("note", "a=b")),
        ("ttl=5m", ("ttl", 300.0)),
    ],
)
def test_a_setting_is_read_by_its_flag_s_type(setting: str, expected: tuple[str, Any]) -> None:
    name, value = parse_setting(DeskFlags, setting, system="desk")

    assert (name, value) == expected
    assert type(value) in {type(expected[1]), Duration}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "pool_sise=8",
            f"unknown flag 'pool_sise' of desk; did you mean 'pool_size'? Allowed: {NAMES}",
        ),
        ("pool_size=many", "pool_size is a whole number from 1 to 64; write pool_size=4"),
        ("pool_size=2.5", "pool_size is a whole number from 1 to 64; write pool_size=4"),
        ("pool_size=65", "pool_size is a whole number from 1 to 64; write pool_size=4"),
        ("pool_size", "pool_size is a whole number from 1 to 64; write pool_size=4"),
        ("margin=nan", "margin is a number from 0.1 to 1; write margin=0.9"),
        ("parallel=maybe", "parallel is true or false; write parallel=true"),
        ("model=huge", "model is one of large, small; write model=large"),
        ("ttl=soon", "ttl is a duration such as 90s or 5m of at least 1s; write ttl=5m"),
    ],
)
def test_a_wrong_setting_names_the_flag_its_type_and_the_nearest_name(setting: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_setting(DeskFlags, setting, system="desk")

    assert str(caught.value) == f"--set {setting}: {message}"


def test_flags_that_are_built_in_code_are_checked_too() -> None:
    with pytest.raises(ValueError, match="pool_size is a whole number from 1 to 64, this is True"):
        DeskFlags(pool_size=True)


def test_what_is_known_of_a_flag_can_be_read() -> None:
    known = {info.name: info for info in flags_of(DeskFlags)}

    assert list(known) == ["parallel", "pool_size", "margin", "model", "note", "ttl"]
    assert (known["model"].text, known["model"].changes_answer) == ("Which model is asked.", True)
    assert known["ttl"].kind is Duration


@dataclass(frozen=True)
class OddFlags(Flags):
    """A flag of a type that flags do not have."""

    names: tuple[str, ...] = flag("Names.", default=())


def test_a_flag_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"flag 'names' is tuple\[str, ...\]; take bool, int, float, str or Duration"):
        OddFlags()


@given(st.one_of(st.integers(0, 10**6).map(float), st.floats(0, 1e6, allow_subnormal=False)))
def test_a_duration_is_read_as_it_is_written(seconds: float) -> None:
    written = str(Duration(seconds))

    assert Duration.parse(written) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.5, "500ms"), (90, "90s"), (300, "5m"), (7200, "2h"), (604800, "7d"), (0, "0s")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, written: str) -> None:
    assert (str(Duration(seconds)), show_value(Duration(seconds))) == (written, written)
