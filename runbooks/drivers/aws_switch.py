"""The switch between the colours of the API: the weights of two target groups in the balancer's listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import Aws, GoneError
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json, Operation

NAME, ACTION = "target-groups", "shift"
COLOURS = ("blue", "green")
ALL = 100
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class TargetGroupSwitch:
    """TrafficSwitch of the cloud. Balancer and target groups are found by the names that the program gives them."""

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: shares of any size."""
        return frozenset({ACTION})

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return Aws.of(self.environment)

    def weights(self) -> Mapping[str, int]:
        """Return each colour's share of the requests, in percent. Raises AwsError."""
        return self._shares(self._actions())

    def healthy(self) -> dict[str, tuple[int, int]]:
        """Return for each colour how many of its targets are healthy, and how many there are. Raises AwsError."""
        found = {}
        for colour, arn in self._colours().items():
            said = self.aws.call("elbv2", "describe_target_health", TargetGroupArn=arn)["TargetHealthDescriptions"]
            there = [each["TargetHealth"]["State"] for each in said]
            found[colour] = (there.count("healthy"), len(there))
        return found

    def shift(self, key: str, weights: Mapping[str, int]) -> Operation:
        """Give each colour its share; together 100. Refused for a colour that no healthy host is behind."""
        if set(weights) != set(COLOURS) or sum(weights.values()) != ALL or min(weights.values()) < 0:
            raise Refusal(f"weights are those of blue and green, together {ALL}: not {dict(weights)}")
        if self.store.find(key) is None:
            healthy = self.healthy()
            empty = [colour for colour, weight in weights.items() if weight and not healthy[colour][0]]
            if empty:
                raise Refusal(f"{empty[0]} has no healthy host: clients would get errors; scale api-{empty[0]} first")
        wanted = {colour: weights[colour] for colour in COLOURS}
        self.store.begin(key, driver=NAME, action=ACTION, target="api", arguments=wanted)
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Tell the balancer, and ask it what it has; it moves the traffic within seconds."""
        way = Way(look=self._look, patience=SECONDS, hint="see the listener's rules in AWS")
        return go_on(self.store, NAME, key, way, pause=self.aws.pause)

    def _look(self, operation: Operation) -> Seen:
        actions = self._actions()
        there = self._shares(actions)
        wanted: dict[str, Any] = dict(operation.arguments)
        before = operation.result.get("before", there)
        noted: dict[str, Json] = {"before": before, "weights": there}
        if there == wanted:
            return Seen(f"{self._words(there)}", noted, over=True)
        if "told" in operation.result and there != before:
            return Seen(
                f"{self._words(there)}: somebody else has shifted it meanwhile, it is left so", noted, failed=True
            )
        colours = {arn: colour for colour, arn in self._colours().items()}
        for each in _forward(actions)["ForwardConfig"]["TargetGroups"]:
            each["Weight"] = wanted[colours[each["TargetGroupArn"]]]
        words, listener = f"from {self._words(there)} to {self._words(wanted)}", self._listener()["ListenerArn"]
        # Before the call: whoever goes on after a killed process tells its own shift from somebody else's.
        self.store.update(operation, detail=words, result={**noted, "told": True})
        self.aws.call("elbv2", "modify_listener", ListenerArn=listener, DefaultActions=actions)
        return Seen(words, noted)

    @staticmethod
    def _words(weights: Mapping[str, int]) -> str:
        return ", ".join(f"{colour} {weight} %" for colour, weight in weights.items())

    def _shares(self, actions: Sequence[dict[str, Any]]) -> dict[str, int]:
        groups = {each["TargetGroupArn"]: each["Weight"] for each in _forward(actions)["ForwardConfig"]["TargetGroups"]}
        weights = {colour: int(groups.get(arn, 0)) for colour, arn in self._colours().items()}
        total = sum(weights.values())
        return {colour: round(ALL * weight / total) if total else 0 for colour, weight in weights.items()}

    def _actions(self) -> list[dict[str, Any]]:
        """Return what the listener does by default, as it can be given back."""
        actions: list[dict[str, Any]] = self._listener()["DefaultActions"]
        forward = _forward(actions)
        known = {each["TargetGroupArn"] for each in forward["ForwardConfig"]["TargetGroups"]}
        lacking = [colour for colour, arn in self._colours().items() if arn not in known]
        if lacking:
            raise Refusal(f"the listener does not know the target group of {lacking[0]}; `pulumi up` puts it right")
        forward.pop("TargetGroupArn", None)  # AWS adds it where one group has all the weight, and refuses both together
        return actions

    def _colours(self) -> dict[str, str]:
        """Return the target group of each colour, by its ARN."""
        names = {self.named(colour): colour for colour in COLOURS}
        said = self.aws.call("elbv2", "describe_target_groups", Names=list(names))["TargetGroups"]
        found = {names[each["TargetGroupName"]]: each["TargetGroupArn"] for each in said}
        lacking = [name for name, colour in names.items() if colour not in found]
        if lacking:
            raise GoneError(f"there is no target group {lacking[0]} in {self.aws.region}; `pulumi up` makes it")
        return {colour: found[colour] for colour in COLOURS}

    def _listener(self) -> dict[str, Any]:
        """Return the listener that sends to target groups: the other one only redirects."""
        name = self.named("api")
        balancer = self.aws.call("elbv2", "describe_load_balancers", Names=[name])["LoadBalancers"][0]
        said = self.aws.call("elbv2", "describe_listeners", LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        found: dict[str, Any] | None = next((each for each in said if _sends(each["DefaultActions"])), None)
        if found is None:
            raise GoneError(f"the balancer {name} sends to no target groups by weight; `pulumi up` puts it right")
        return found

    def named(self, part: str) -> str:
        """Return the name of the balancer (`api`) or of a colour's target group."""
        # Names of balancers have 32 characters at most: the program leaves out what all of them begin with.
        driver = self.environment.drivers.get("traffic_switch")
        return (driver.settings.get(part) if driver else None) or f"{self.environment.name}-{part}"


def _sends(actions: Sequence[dict[str, Any]]) -> bool:
    return any(each["Type"] == "forward" and "ForwardConfig" in each for each in actions)


def _forward(actions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in actions if each["Type"] == "forward" and "ForwardConfig" in each)


def live_colour(environment: Environment, store: OperationStore) -> str:
    """Return the colour with the larger share of the requests. Raises AwsError, Refusal where none is larger."""
    weights = TargetGroupSwitch(environment, store).weights()
    first, second = sorted(weights, key=lambda colour: -weights[colour])
    if weights[first] == weights[second]:
        raise Refusal(f"blue and green have the same share of the requests: say api-{first} or api-{second}")
    return first
