"""Recorded text and numbers as HTML: whatever comes out of a recording passes through `escaped`."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from spanwise_profiling import kinds
from spanwise_profiling.render.html.palette import INKS
from spanwise_profiling.text import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Bucket

_LONGEST: Final = 300


def escaped(text: str) -> str:
    """Return recorded text as it can stand in HTML, in attributes too; `…` stands for what follows 300 characters."""
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return html.escape(readable(shown.replace("\n", " ")))


def name(text: str) -> str:
    """Return a recorded name as an element of its own, so that its direction of writing turns nothing else around."""
    return f"<bdi>{escaped(text)}</bdi>"


def span_link(letter: str, span: SpanRecord) -> str:
    """Return a link to `span` of the run `letter`, which the script follows in the timeline."""
    return f'<a href="#{letter}/{quote(span.span_id, safe="", errors="replace")}">{name(kinds.label_of(span))}</a>'


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], style: str) -> str:
    """Return a table in a frame that scrolls sideways; cells are HTML, and the first of each row heads it.

    Columns whose heading begins with `#` hold numbers; `style` is the frame's class besides.
    """
    heads = list(head)
    numeric = [cell.startswith("#") for cell in heads]
    top = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{cell.removeprefix("#")}</th>'
        for cell, number in zip(heads, numeric, strict=True)
    )
    body = "".join(_row(row, numeric) for row in rows)
    return (
        f'<div class="scroll {style}" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def swatch(bucket: Bucket) -> str:
    """Return a bucket's colour and pattern as a small square."""
    return f'<svg class="swatch" aria-hidden="true">{_rectangle(bucket, 0, 100)}</svg>'


def stacked(parts: Mapping[Bucket, int], whole: int) -> str:
    """Return a bar of lengths `parts`, in the order of the buckets, whose full width would be `whole`."""
    drawn: list[str] = []
    reached = 0
    for bucket in INKS:
        if (length := parts.get(bucket, 0)) and whole:
            drawn.append(_rectangle(bucket, 100 * reached / whole, 100 * length / whole))
            reached += length
    return f'<svg class="stacked" aria-hidden="true">{"".join(drawn)}</svg>'


def _row(cells: Iterable[str], numeric: list[bool]) -> str:
    first, *rest = cells
    others = (f"<td{' class=n' if number else ''}>{cell}</td>" for cell, number in zip(rest, numeric[1:], strict=True))
    return f'<tr><th scope="row">{first}</th>{"".join(others)}</tr>'


def _rectangle(bucket: Bucket, at: float, width: float) -> str:
    place = f'x="{at:.3f}%" width="{width:.3f}%" height="100%"'
    hatch = f'<rect {place} class="hatch"/>' if INKS[bucket].hatched else ""
    return f'<rect {place} class="b-{bucket}"><title>{INKS[bucket].label}</title></rect>{hatch}'
