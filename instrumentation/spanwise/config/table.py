"""The table of settings in docs/recording.md, made from their declarations.

`python -m spanwise.config.table docs/recording.md` writes it between the two markers of that page; a test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.config.declaration import plain_default
from spanwise.config.settings import declarations, default_of, variables_of
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN: Final = "<!-- settings: made by python -m spanwise.config.table docs/recording.md -->"
END: Final = "<!-- end of settings -->"


def rows() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| setting | variables | default | |"
    yield "| --- | --- | --- | --- |"
    for name, setting in declarations().items():
        variables = ", ".join(f"`{variable.name}`" for variable in variables_of(name))
        default = plain_default(default_of(name), setting)
        yield f"| `{name}` | {variables} | {default} | {setting.help} |"


def written(page: str) -> str:
    """Return a page with the table between its markers; raises `InputError` where it lacks one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the page has no table of settings; give it the lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, "", *rows(), "", END + after])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
