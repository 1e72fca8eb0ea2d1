"""One stack at an emulator: plan, up, drift, destroy. What a rehearsal and the tests do it with."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal import drift
from infra.cloud.rehearsal.compare import same
from infra.cloud.rehearsal.emulator import clients
from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.monitor import Monitor
from infra.cloud.rehearsal.provider import serve
from infra.cloud.rehearsal.run import run
from infra.cloud.rehearsal.state import State
from infra.cloud.rehearsal.steps import Provider, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from infra.cloud.rehearsal.kind import Aws

PROJECT = "simplicity"


def _nobody(_: Step) -> None:
    """Tell nobody."""


@dataclass
class Lab:
    """A stack, its state and the provider that it is made through."""

    stack: str
    region: str
    state: State
    provider: Provider
    reach: Callable[[str], Aws]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[Step], None] = _nobody
    # Decides the order of deletions, where their dependencies leave it open.
    seed: int = 0

    def up(self, program: Callable[[], None]) -> list[Step]:
        """Bring it to what the program wants."""
        return self._run(program, apply=True)

    def plan(self, program: Callable[[], None]) -> list[Step]:
        """Say what `up` would do; does nothing."""
        return self._run(program, apply=False)

    def drifts(self) -> list[drift.Drift]:
        """Return what is not as the last `up` left it."""
        return drift.find(self.state, self.provider)

    def refresh(self) -> None:
        """Take what is there as what is there."""
        drift.refresh(self.state, self.provider)

    def inject(self, seed: random.Random) -> list[drift.Injection]:
        """Change one random property of each type that can be changed in place, behind the program's back."""
        return drift.inject(self.state.managed(), self.reach, self.region, seed)

    def inject_each(self, program: Callable[[], None]) -> list[drift.Injection]:
        """Change every property that a drill can, one after the other: each is named, alone, and mended.

        Raises AssertionError for the first that is not.
        """
        done, seen = [], set()
        for urn in [each.urn for each in self.state.managed()]:
            there = self.state.resources[urn]
            for name in drift.changeable(KINDS[there.type], there):
                if (there.type, name) in seen:
                    continue
                seen.add((there.type, name))
                before = self.state.resources[urn].outputs[name]
                injected = drift.inject_one(self.state.resources[urn], name, self.reach, self.region)
                self._mended(program, injected, before)
                done.append(injected)
        return done

    def destroy(self) -> list[Step]:
        """Delete everything; what is protected refuses."""
        monitor = self._monitor(apply=True)
        monitor.finish()
        return monitor.steps

    def unprotect(self) -> None:
        """Take the protection off, as `pulumi state unprotect --all` does."""
        self.state.unprotect()

    def _mended(self, program: Callable[[], None], injected: drift.Injection, before: Any) -> None:  # noqa: ANN401 - JSON
        found = self.drifts()
        named = [(each.urn, name) for each in found for name in each.was]
        if named != [(injected.urn, injected.property)]:
            raise AssertionError(f"{injected} is told as {[each.line for each in found]}")
        self.refresh()
        self.up(program)
        after = self.state.resources[injected.urn].outputs[injected.property]
        if not same(before, after) or not same(after, before):
            raise AssertionError(f"{injected} is not mended: {before!r} became {after!r}")
        if left := self.drifts():
            raise AssertionError(f"{injected} is not mended: {[each.line for each in left]}")
        if steps := self.plan(program):
            raise AssertionError(f"{injected} is not mended: {steps}")

    def _run(self, program: Callable[[], None], *, apply: bool) -> list[Step]:
        monitor = self._monitor(apply=apply)
        run(program, monitor, self.configuration)
        return monitor.steps

    def _monitor(self, *, apply: bool) -> Monitor:
        self.provider.configure(self.region)
        order = random.Random(self.seed)  # noqa: S311 # nosec B311 - repeatable
        return Monitor(self.provider, self.state, PROJECT, self.stack, apply, self.tell, order=order)


@contextmanager
def lab(
    endpoint: str, path: Path, stack: str, region: str, configuration: Mapping[str, Any] | None = None
) -> Iterator[Lab]:
    """Give a stack whose state is kept at `path`, at a running emulator."""
    reach = partial(clients, endpoint)
    with serve(reach, region) as port:
        provider = Provider(port)
        try:
            yield Lab(stack, region, State(path), provider, reach, configuration or {})
        finally:
            provider.close()
