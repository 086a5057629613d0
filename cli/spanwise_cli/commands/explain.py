"""`spanwise explain`: one finding of a profile whole."""

from __future__ import annotations

from typing import Annotated

import typer

from spanwise.errors import InputError
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="explain")(explain)


def explain(
    *,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="Number of the finding, as `profile` shows it.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run as `spanwise profile` takes it.")] = "last",
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Tell one finding of a run's profile whole: its spans, what it would save, and how it is done.

    Example: spanwise explain 1 last:trading/baseline
    """
    from spanwise_cli.commands.runs import warn  # noqa: PLC0415 - other commands do not wait for it
    from spanwise_cli.opening import progress  # noqa: PLC0415
    from spanwise_profiling.load import open_run  # noqa: PLC0415
    from spanwise_profiling.profiled import profiled  # noqa: PLC0415
    from spanwise_profiling.render.explanation import explanation  # noqa: PLC0415
    from spanwise_profiling.render.glyphs import glyphs_for  # noqa: PLC0415
    from spanwise_profiling.render.profile_document import finding_document  # noqa: PLC0415

    with progress() as tell:
        opened, recording = open_run(run, journal, (), tell)
    [profile] = profiled([opened])
    if number > len(profile.findings):
        has = f"has {len(profile.findings)} findings" if profile.findings else "has no findings"
        raise InputError(f"explain {number}: {profile.run.title} {has}; see: spanwise profile {run}")
    if json:
        emit_json(finding_document(profile, number))
        return
    warn((*recording.warnings, *profile.warnings))
    out = console()
    for part in explanation(profile, number, out.width, glyphs=glyphs_for(out.encoding)):
        out.print(part, soft_wrap=True)
