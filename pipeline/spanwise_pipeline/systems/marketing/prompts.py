"""Who writes what: the agents' tasks, the request, and the paragraphs that each agent is sent.

The instruction lines are plain sentences; their grammar is the simulated provider's (docs/provider.md), and a real
model reads them as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Role:
    """An agent that finds things out with tools."""

    agent: str
    task: Task
    tools: tuple[str, ...]

    @property
    def step(self) -> str:
        """Name of the step in which it writes."""
        return f"{self.agent}_findings"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    product: str = "trail shoes"
    from_month: int = 4
    to_month: int = 9
    budget: int = 500_000
    shift_share: float = 0.1
    target_return: float = 2.0

    def facts(self) -> dict[str, str]:
        """Return the request as facts."""
        return {
            "product": self.product, "budget": str(self.budget), "shift_share": str(self.shift_share),
            "target_return": str(self.target_return),
        }  # fmt: skip

    def text(self) -> str:
        """Return the request as a paragraph."""
        return "\n".join(["# request", *(f"{name} = {value}" for name, value in self.facts().items())])


SHIFT: Final = "Compute shift: round(budget * shift_share, 2)."
BRIEF: Final = Task("Brief", ("product", "target_return"), (SHIFT,))
_CHANNEL: Final = (
    ("best_channel", "best_return", "worst_channel", "worst_return", "click_rate", "conversion_rate", "best_device",
     "device_lift"),
    (
        "Compute channel_gain: round(shift * (best_return - worst_return) * (1 + device_lift)"
        " * conversion_rate / (conversion_rate + click_rate), 2)."
    ),
)  # fmt: skip
_CAMPAIGN: Final = (
    ("top_campaign", "campaign_return", "wear", "focus"),
    "Compute campaign_gain: round(shift * (campaign_return - target_return) * (1 - wear) * (1 - focus / 2), 2).",
)
_SEGMENT: Final = (
    ("best_segment", "segment_return", "new_share", "order_value"),
    "Compute audience_gain: round(shift * (segment_return - target_return) * new_share + order_value, 2).",
)
_REGION: Final = (
    ("best_region", "region_return", "best_weekday", "weekday_lift", "trend"),
    ("Compute timing_gain: round(shift * (region_return - target_return) * (1 + weekday_lift) * (1 + trend) / 2, 2)."),
)
_CHANNEL_TOOLS: Final = ("channel_returns", "channel_funnel", "device_mix")
_CAMPAIGN_TOOLS: Final = ("campaign_returns", "creative_wear", "spend_focus")
_SEGMENT_TOOLS: Final = ("segment_returns", "customer_mix", "order_value")
_REGION_TOOLS: Final = ("region_returns", "weekday_pattern", "monthly_trend")

ANALYSTS: Final = (
    Role("channel_analyst", Task("Channel findings", _CHANNEL[0], (_CHANNEL[1],)), _CHANNEL_TOOLS),
    Role("campaign_analyst", Task("Campaign findings", _CAMPAIGN[0], (_CAMPAIGN[1],)), _CAMPAIGN_TOOLS),
    Role("segment_analyst", Task("Audience findings", _SEGMENT[0], (_SEGMENT[1],)), _SEGMENT_TOOLS),
    Role("region_analyst", Task("Timing findings", _REGION[0], (_REGION[1],)), _REGION_TOOLS),
)
"""Four analysts, in their order on the board."""
FOCUSED: Final = (
    Role(
        "performance_agent",
        Task("Performance findings", (*_CHANNEL[0], *_CAMPAIGN[0]), (SHIFT, _CHANNEL[1], _CAMPAIGN[1])),
        (*_CHANNEL_TOOLS, *_CAMPAIGN_TOOLS),
    ),
    Role(
        "audience_agent",
        Task("Audience and timing findings", (*_SEGMENT[0], *_REGION[0]), (SHIFT, _SEGMENT[1], _REGION[1])),
        (*_SEGMENT_TOOLS, *_REGION_TOOLS),
    ),
)
"""Two agents that do the same work."""
COORDINATOR: Final = "coordinator"
STRATEGIST: Final = "strategist"
RECOMMENDATION: Final = Task(
    "Recommendation",
    ("best_channel", "top_campaign", "best_segment", "best_region"),
    (
        "Compute expected_gain: round(channel_gain + campaign_gain + audience_gain + timing_gain, 2).",
        (
            "Conclude first_move: channel if channel_gain >= campaign_gain and channel_gain >= audience_gain;"
            " campaign if campaign_gain >= audience_gain; else audience."
        ),
        "Conclude decision: go if expected_gain > shift and best_return > target_return; else wait.",
    ),
)
ANSWER: Final = (
    "best_channel", "top_campaign", "best_segment", "best_region", "channel_gain", "campaign_gain", "audience_gain",
    "timing_gain", "expected_gain", "first_move", "decision",
)  # fmt: skip
"""The decision and the facts that it rests on."""

WORDS: Final[Mapping[str, tuple[int, int]]] = {"board": (3, 5), "focused": (9, 9), "structured": (7, 5)}
"""Words for each fact, of findings and of the recommendation: of many agents around a board, of focused ones, and of
focused ones that hand on figures."""


def roles(*, focused: bool) -> tuple[Role, ...]:
    """Return the agents with tools."""
    return FOCUSED if focused else ANALYSTS


def tasks(*, focused: bool) -> tuple[Task, ...]:
    """Return all tasks in order."""
    found = tuple(role.task for role in roles(focused=focused))
    return (*found, RECOMMENDATION) if focused else (BRIEF, *found, RECOMMENDATION)


def earlier_paragraphs() -> frozenset[tuple[str, str]]:
    """Return what an agent with tools is sent of those before it, as (step, first line): it needs none of it."""
    return frozenset(_earlier(ANALYSTS)) | frozenset(_earlier(FOCUSED))


def board_paragraphs() -> frozenset[tuple[str, str]]:
    """Return what the board shows to agents that do not need it, as (step, first line)."""
    tables = {("recommendation", f"# {tool}") for role in ANALYSTS for tool in role.tools}
    return earlier_paragraphs() | tables


def _earlier(agents: tuple[Role, ...]) -> Iterator[tuple[str, str]]:
    for position, role in enumerate(agents):
        for before in agents[:position]:
            yield role.step, f"## {before.task.title}"
            yield from ((role.step, f"# {tool}") for tool in before.tools)
