"""Ablations: each flag of a system alone, and all flags but each, seed by seed, so that runs pair by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spanwise.errors import InputError, nearest
from spanwise_pipeline.experiment import Experiment, execute

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import spanwise
    from spanwise_pipeline.experiment import Executed, Watcher
    from spanwise_pipeline.system import System


@dataclass(frozen=True, slots=True)
class Switch:
    """A flag, and its values in the first preset of a system and in the last one."""

    flag: str
    off: Any
    on: Any


@dataclass(frozen=True, slots=True)
class Ablation:
    """What is run: the first preset, the last preset, and each with every switch turned the other way."""

    experiment: Experiment
    """Its presets are the first one and the last one; its `runs` are the seeds."""
    switches: tuple[Switch, ...]

    @property
    def before(self) -> str:
        """The first preset: the old behaviour."""
        return self.experiment.presets[0]

    @property
    def after(self) -> str:
        """The last preset: everything that helps."""
        return self.experiment.presets[-1]

    @property
    def arms(self) -> tuple[tuple[str, Switch | None], ...]:
        """What is run with each seed: a preset, and the switch that is turned in it."""
        plain: list[tuple[str, Switch | None]] = [(self.before, None), (self.after, None)]
        turned = [(preset, switch) for switch in self.switches for preset in (self.before, self.after)]
        return (*plain, *turned)


def switches_of(system: System, only: Sequence[str] = (), given: Sequence[str] = ()) -> tuple[Switch, ...]:
    """Return the flags in which the first and the last preset differ.

    Args:
        system: with the flags.
        only: these alone.
        given: flags that are set for all runs, and so are not switched.

    Raises:
        InputError: `only` has another name; gives the nearest one.
    """
    first, *_, last = system.presets.values()
    names = [name for name in first.__dataclass_fields__ if name not in given]
    found = {name: Switch(name, getattr(first, name), getattr(last, name)) for name in names}
    found = {name: switch for name, switch in found.items() if switch.on != switch.off}
    for name in only:
        if name not in found:
            raise InputError(f"--flag {name}: the presets of {system.name} do not switch it; {nearest(name, found)}")
    return tuple(switch for name, switch in found.items() if not only or name in only)


def run_ablation(
    ablation: Ablation, *, telemetry: spanwise.Telemetry, watcher: Watcher
) -> Generator[tuple[str, Switch | None, Executed]]:
    """Run everything, yielding each run with its preset and its switch as it ends; see `experiment.execute`."""
    experiment = ablation.experiment
    for number in range(experiment.runs):
        for preset, switch in ablation.arms:
            turned = {}
            if switch is not None:
                turned = {switch.flag: switch.on if preset == ablation.before else switch.off}
            one = replace(
                experiment,
                presets=(preset,),
                overrides={**experiment.overrides, **turned},
                runs=1,
                seed=experiment.seed + number,
            )
            for executed in execute(one, telemetry=telemetry, watcher=watcher):
                yield preset, switch, executed
