"""A made-up fleet: two hosts, two colours, a balancer; what the steps of a deployment do to it is seen here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.environment import Driver, Host
from runbooks.deploy import acting, asking, keys, looking, manifest, smoke, watching
from runbooks.deploy import hosts as hosts_module
from runbooks.deploy.errors import DeployError
from runbooks.deploy.gates import Gate
from runbooks.deploy.hosts import HostState
from runbooks.deploy.manifest import Manifest, Revision
from runbooks.deploy.playing import Played
from runbooks.deploy.watching import Counters
from runbooks.drivers.protocols import Operation, Phase
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from infra.environment import Environment
    from runbooks.engine.model import Context

COMMITS = {"0.1.0": "a" * 40, "0.2.0": "b" * 40, "0.3.0": "c" * 40}
OLDEST, OLD, NEW = (f"{version}-{commit[:12]}" for version, commit in COMMITS.items())


class Killed(BaseException):
    """The process dies: nothing of it goes on, not even what cleans up."""


def made(version: str, *revisions: tuple[str, str], **parts: Any) -> Manifest:  # noqa: ANN401 - any part
    """A manifest of these revisions, each with its kind."""
    listed = tuple(
        Revision(revision=name, kind=kind, after="0.2.0" if kind == "contract" else None, sha256=name[-1] * 64)
        for name, kind in (revisions or (("0001", "expand"),))
    )
    usual: dict[str, Any] = {
        "id": f"{version}-{COMMITS[version][:12]}",
        "version": version,
        "commit": COMMITS[version],
        "made_at": "2026-11-30T15:00:00+00:00",
        "python": "3.13",
        "newest": listed[-1].revision,
        "revisions": listed,
        "files": {},
    }
    return Manifest(**(usual | parts))


def fleet(folder: Path) -> Environment:
    """A document of it."""
    here = environment("made-up")
    hosts = (Host(name="app1", address="10.0.0.1"), Host(name="app2", address="10.0.0.2"))
    return here.model_copy(
        update={
            "hosts": {"api": hosts, "balancer": (Host(name="lb1", address="10.0.0.9"),)},
            "drivers": {
                "deploy": Driver(
                    kind="blue-green", settings={"signing_key": str(folder / "key"), "trusted": str(folder / "key.pub")}
                )
            },
        }
    )


@dataclass
class Fleet:
    """What there is. `seen` has every share that green ever had; `breaks` is called before each thing that is done."""

    releases: dict[str, str] = field(default_factory=lambda: {"blue": OLD, "green": OLDEST})
    active: dict[str, bool] = field(default_factory=lambda: {"blue": True, "green": False})
    current: str = OLD
    shares: dict[str, int] = field(default_factory=lambda: {"blue": 100, "green": 0})
    seen: list[int] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    requests: float = 0.0
    slow_share: float = 0.0
    rate: float = 3000.0
    breaks: Callable[[str], None] = lambda _: None
    gates: list[Gate] = field(default_factory=lambda: [Gate("checks", passed=True, words="green")])
    manifests: dict[str, Manifest] = field(
        default_factory=lambda: {each.id: each for each in (made("0.1.0"), made("0.2.0"), made("0.3.0"))}
    )

    # --- the TrafficSwitch protocol
    capabilities = frozenset({"shift"})

    def weights(self) -> Mapping[str, int]:
        return dict(self.shares)

    def shift(self, key: str, weights: Mapping[str, int]) -> Operation:
        self._do(f"shift {weights['green']}")
        assert all(self.active[colour] for colour, share in weights.items() if share), "traffic for what does not run"
        self.shares = dict(weights)
        self.seen.append(weights["green"])
        return Operation(
            key=key, driver="made-up", action="shift", target="api", arguments={}, phase=Phase.DONE, detail="",
            result={}, began="", ended="",
        )  # fmt: skip

    def poll(self, key: str) -> Operation:
        raise AssertionError(key)

    # --- what steps call
    def _do(self, what: str) -> None:
        self.done.append(what)
        self.breaks(what)

    def hosts(self, _: Context) -> dict[str, HostState]:
        return {name: self._state(name) for name in ("app1", "app2")}

    def _state(self, name: str) -> HostState:
        return HostState(
            name=name, address="10.0.0.1", releases=dict(self.releases), active=dict(self.active), current=self.current,
            sync=True, free=10**10, manifests={each: made_.text().decode() for each, made_ in self.manifests.items()},
        )  # fmt: skip

    def play(self, _: Context, step: str, **variables: str) -> Played:
        self._do(step)
        if step == "start":
            self.releases[variables["colour"]] = variables["release"]
            self.active[variables["colour"]] = True
        elif step == "sync":
            self.current = variables["release"]
        return Played({}, "")

    def unit(self, _: Environment, act: str, colour: str) -> None:
        self._do(f"{act} {colour}")
        self.active[colour] = act == "start"

    def point(self, _: Environment, colour: str, release: str) -> None:
        self.releases[colour] = release

    def count(self, *_: object) -> Counters:
        """Every look finds more requests, as long as green has any."""
        self.requests += self.rate if self.shares["green"] else 0.0
        return Counters(requests=self.requests, slow=self.requests * self.slow_share, errors=0.0, processes=7.0)

    def ask(self, *_: object) -> asking.Answer:
        live = next(colour for colour, share in self.shares.items() if share == 100)
        return asking.Answer(200, self.releases[live], b"{}")

    def readiness(self, _: Environment, __: str, colour: str, release: str) -> str:
        return "" if self.active[colour] and self.releases[colour] == release else f"{colour} is not ready"

    def smoke(self, *_: object) -> str:
        self._do("smoke")
        return "answers"


def put_in_place(there: Fleet, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the steps of a deployment meet this fleet."""
    patch.setenv("SIMPLICITY_HOME", str(folder / "home"))
    patch.setattr(acting, "hosts", there.hosts)
    patch.setattr(acting, "switch", lambda _: there)
    patch.setattr(acting, "play", there.play)
    patch.setattr(acting, "observe", lambda *_: None)
    patch.setattr(acting, "drained", lambda *_: "no request is there")
    patch.setattr(acting, "PAUSE", 0.0)
    patch.setattr(acting, "READY_SECONDS", 0.2)
    patch.setattr(looking, "hosts", there.hosts)
    patch.setattr(looking, "release", lambda context: there.manifests[context.arguments["release"]])
    patch.setattr(looking, "all_gates", lambda _: there.gates)
    patch.setattr(looking, "trusted", lambda _: lambda *_: True)
    patch.setattr(manifest, "verify", lambda directory, *_: there.manifests[directory.name])
    patch.setattr(hosts_module, "unit", there.unit)
    patch.setattr(hosts_module, "point", there.point)
    patch.setattr(watching, "count", there.count)
    patch.setattr(watching, "seen", lambda *_: 2)
    patch.setattr(asking, "ask", there.ask)
    patch.setattr(smoke, "readiness", there.readiness)
    patch.setattr(smoke, "smoke", there.smoke)
    patch.setattr(keys, "signer", _nobody_signs)
    for name in there.manifests:
        (folder / "home" / "releases" / name).mkdir(parents=True)
        (folder / "home" / "releases" / name / "manifest.json").write_bytes(there.manifests[name].text())


def _nobody_signs(_: object) -> Callable[[bytes], bytes]:
    raise DeployError("there is no key")
