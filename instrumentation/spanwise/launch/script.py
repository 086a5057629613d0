"""`spanwise run`: what the command tells the Python that it starts, and what that does before the program's first line.

The program is run by Python itself, as ever; the command only becomes it (`exec`). A folder on PYTHONPATH holds a
`sitecustomize`, which Python loads as it starts, also in the processes that the program starts. So arguments, exit
status, signals, `__main__` and tracebacks are Python's own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.config.declaration import folder
from spanwise.config.settings import resolve
from spanwise.errors import SpanwiseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import SpanContext

DEFAULT_FOLDER: Final = ".spanwise"
NAME: Final = "SPANWISE_RUN"
"""Variable with the name of the program; where it is missing, nothing is recorded."""
PARENT: Final = "SPANWISE_RUN_PARENT"
"""Variable with the span of the program's run, as in a `traceparent` header: for the processes that it starts."""
SITE: Final = str(Path(__file__).with_name("site"))


def environment(name: str, journal: Path | None = None) -> dict[str, str]:
    """Return the environment for a program that is recorded.

    What the settings do not say is chosen here: the journal is `.spanwise/` in the working folder, causality is on, and
    the service is called like the program.

    Args:
        name: of the program.
        journal: folder to record in; by default the one of the settings.

    Raises:
        InputError: a setting cannot be used.
    """
    settings = resolve({})
    chosen = {NAME: name}
    if journal is not None or settings["journal_dir"].value is None:
        chosen["SPANWISE_JOURNAL_DIR"] = folder(str(journal or DEFAULT_FOLDER))
    elif settings["journal_dir"].source.startswith("SPANWISE_"):
        chosen["SPANWISE_JOURNAL_DIR"] = settings["journal_dir"].value
    if settings["causality"].source == "default":
        chosen["SPANWISE_CAUSALITY"] = "on"
    if settings["service_name"].source == "default":
        chosen["SPANWISE_SERVICE_NAME"] = name.removesuffix(".py")
    paths = [SITE, *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {key: value for key, value in os.environ.items() if key != PARENT}
    return inherited | chosen | {"PYTHONPATH": os.pathsep.join(paths)}


def begin(variables: Mapping[str, str] = os.environ) -> None:
    """Set up recording and begin the run of this program; what fails is said in one line, and the program runs on."""
    name = variables.get(NAME)
    if not name:
        return
    try:
        _begin(name, variables.get(PARENT, ""))
    except SpanwiseError as error:
        sys.stderr.write(f"spanwise: {name} is not recorded: {error}\n")
    except Exception as error:  # noqa: BLE001 - nothing of ours may keep a program from running
        sys.stderr.write(f"spanwise: {name} is not recorded: {type(error).__name__}: {error}\n")


def _begin(name: str, parent: str) -> None:
    from spanwise.helpers import program_run  # noqa: PLC0415 - the command itself does not wait for OpenTelemetry
    from spanwise.setup import configure  # noqa: PLC0415

    configure()
    elsewhere = _span_of(parent)
    own = program_run.begin(name, elsewhere)
    if own is not None and elsewhere is None:
        os.environ[PARENT] = f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}"


def _span_of(parent: str) -> SpanContext | None:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - as above
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    found = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent})).get_span_context()
    return found if found.is_valid else None
