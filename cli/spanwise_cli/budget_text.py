"""The text of a new budget file: proposals as YAML with a comment beside each, or an example to fill in."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from spanwise_profiling.gate.proposals import FEWEST, proposals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_profiling.gate.proposals import Proposal
    from spanwise_profiling.profile import Profile

_SCHEMA_LINE: Final = "# yaml-language-server: $schema=budgets.schema.json\n"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*[A-Za-z0-9_-]|[A-Za-z_]")
_RESERVED: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_EXAMPLE: Final = """\
# What a run may take. No run was recorded here, so these are examples: put the names and numbers of your own.
# `spanwise gate` judges recorded runs by this file, and `spanwise alerts build` makes Prometheus rules from it.
version: 1
workflows:
  my_workflow:                # the name that spanwise.workflow(...) was given
    run:                      # what a single run may take; for CI
      model_calls: 20
      tokens: 50000
    duration:
      p95: 60                 # seconds that at most one run in twenty may exceed
"""
_HEAD: Final = """\
# What a run may take, proposed from recorded runs. Where runs differ, a bound leaves room for their noise: at most one
# such run in twenty would break it. Change what you know better.
# `spanwise gate` judges recorded runs by this file, and `spanwise alerts build` makes Prometheus rules from it.
version: 1
workflows:
"""


def budget_text(runs: Mapping[str, Sequence[Profile]], *, schema: bool = False) -> str:
    """Return a budget file.

    Args:
        runs: profiles by workflow; may be none.
        schema: whether editors are told of a JSON Schema beside the file.
    """
    blocks = [block for workflow, members in sorted(runs.items()) if (block := "".join(_workflow(workflow, members)))]
    return (_SCHEMA_LINE if schema else "") + (_HEAD + "".join(blocks) if blocks else _EXAMPLE)


def _workflow(workflow: str, profiles: Sequence[Profile]) -> Iterator[str]:
    found = proposals(profiles)
    if not found:
        return
    few = f"; record {FEWEST} or more for bounds of what varies" if len(profiles) < FEWEST else ""
    yield f"  {_name(workflow)}:  # from {len(profiles)} run{'s' * (len(profiles) != 1)}{few}\n"
    for section, members in groupby(found, key=lambda one: one.key.partition(".")[0]):
        yield f"    {section}:\n"
        for one in members:
            yield _line(one)
        if section == "duration":
            yield f"      min_runs: {min(5, len(profiles))}\n"


def _line(one: Proposal) -> str:
    value = f"{one.key.partition('.')[2]}: {one.bound:.10g}"
    return f"      {value:<24}# {one.why}\n"


def _name(workflow: str) -> str:
    """Return the name of a workflow as YAML, in quotes where it has to be."""
    plain = _PLAIN_NAME.fullmatch(workflow) is not None and workflow.lower() not in _RESERVED
    return workflow if plain else json.dumps(workflow)
