"""What each model was asked, how fast it wrote and what it cost; a cost that is not known is said to be unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render.html import columns
from spanwise_profiling.render.html.markup import escaped, name, table
from spanwise_profiling.render.usage_texts import MODEL_COLUMNS, NO_NAME, model_cells, money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile

_MOST_ROWS: Final = 100


def section(profiles: Sequence[Profile]) -> str:
    """Return the section of models, those of each run in turn; nothing where no run's usage is known."""
    rows = [row for position in range(len(profiles)) for row in _rows(profiles, position)]
    if not rows:
        return ""
    head = ["model", *(f"#{column}" for column in MODEL_COLUMNS)]
    return (
        '<section aria-labelledby="h-models"><h2 id="h-models">Models</h2>'
        + "".join(_sentences(profiles, position) for position in range(len(profiles)))
        + table("Models by tokens", head, rows, "models")
        + "</section>"
    )


def _rows(profiles: Sequence[Profile], position: int) -> list[list[str]]:
    usage = profiles[position].usage
    models = usage.models[:_MOST_ROWS] if usage else ()
    badge = columns.badge(profiles, position)
    return [
        [f"{badge}{name(model.name or NO_NAME)}", *(escaped(cell) for cell in model_cells(model))] for model in models
    ]


def _sentences(profiles: Sequence[Profile], position: int) -> str:
    usage = profiles[position].usage
    sentences = money(usage) if usage else ()
    return "".join(f"<p>{columns.badge(profiles, position)}{escaped(sentence)}</p>" for sentence in sentences)
