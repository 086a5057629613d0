"""Configuration files with their placeholders filled in, for the servers that read no environment."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG: Final = Path(__file__).parent / "config"
COLLECTOR_FILE: Final = Path(__file__).parent / "otel-collector.yaml"


def render(name: str, values: Mapping[str, str]) -> str:
    """Return `config/name` with every `${NAME}` replaced; raises `InputError` for one without a value."""
    source = CONFIG / name
    try:
        return Template(source.read_text(encoding="utf-8")).substitute(values)
    except KeyError as missing:
        raise InputError(f"{source}: no value for the placeholder {missing.args[0]}") from None
    except ValueError as error:
        raise InputError(f"{source}: {error}; write a literal $ as $$") from None
