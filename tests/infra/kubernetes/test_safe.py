"""What a pod may do: nothing that it does not need. Asserted on every pod that the chart renders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.kubernetes.chart import MINIMAL, PRODUCTION, environment, render

EXAMPLES = pytest.mark.parametrize("example", [MINIMAL, PRODUCTION])
SECRETS = {
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "REDIS_URL",
    "AUTH_PEPPER",
    "BITCOIN_RPC_USER",
    "BITCOIN_RPC_PASSWORD",
}
NAMESPACE = "kubernetes.io/metadata.name"


@EXAMPLES
def test_no_pod_is_root_or_writes_but_to_its_own_tmp(example: str) -> None:
    pods = render(example).pods
    assert set(pods) == {"api", "sync", "migrations"}
    for pod in pods.values():
        spec = pod["spec"]
        own, (container,) = spec["securityContext"], spec["containers"]
        assert (own["runAsNonRoot"], own["runAsUser"] > 0, own["runAsGroup"] > 0) == (True, True, True)
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert written == ["/tmp"]  # noqa: S108 - the pod's, not ours


@EXAMPLES
def test_no_pod_shares_what_is_the_nodes_or_has_a_token_of_the_cluster(example: str) -> None:
    found = render(example)
    for pod in found.pods.values():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "shareProcessNamespace"} & spec.keys()
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert all(volume.keys() - {"name"} <= {"emptyDir", "secret"} for volume in spec["volumes"])
    assert all(each["automountServiceAccountToken"] is False for each in found.of("ServiceAccount").values())
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret"} & {
        each["kind"] for each in found.objects
    }


@EXAMPLES
def test_every_container_has_a_share_and_a_bound(example: str) -> None:
    for pod in render(example).pods.values():
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert container["resources"]["limits"].keys() >= {"memory", "ephemeral-storage"}


@EXAMPLES
def test_secrets_come_by_name_and_the_writing_role_is_never_the_apis(example: str) -> None:
    found = render(example)
    for name, pod in found.pods.items():
        for each in environment(pod).values():
            assert ("valueFrom" in each) == (each["name"] in SECRETS), each
            if "valueFrom" in each:
                wanted = "simplicity-api" if name == "api" else "simplicity-sync"
                assert each["valueFrom"] == {"secretKeyRef": {"name": wanted, "key": each["name"]}}


def test_mounted_secrets_are_read_by_the_group_alone() -> None:
    volumes = [each for pod in render(PRODUCTION).pods.values() for each in pod["spec"]["volumes"] if "secret" in each]
    assert volumes
    assert {each["secret"]["defaultMode"] for each in volumes} == {0o440}


# --- the network ------------------------------------------------------------------------------------------------------
def peers(rules: list[dict[str, Any]]) -> set[tuple[str, tuple[int | str, ...]]]:
    """Return who is let through, by namespace or network, and to which ports."""
    found = set()
    for rule in rules:
        ports = tuple(sorted({port["port"] for port in rule["ports"]}, key=str))
        for peer in rule.get("from", ()) or rule["to"]:
            block = peer.get("ipBlock", {}).get("cidr")
            found.add((block or peer["namespaceSelector"]["matchLabels"][NAMESPACE], ports))
    return found


def test_what_no_policy_names_is_closed_for_every_pod() -> None:
    found = render(PRODUCTION)
    deny = found.of("NetworkPolicy")["deny"]["spec"]
    assert deny.keys() == {"podSelector", "policyTypes"}
    for pod in found.pods.values():
        assert deny["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    for policy in found.of("NetworkPolicy").values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_api_hears_the_ingress_and_monitoring_and_talks_to_what_it_needs() -> None:
    policy = render(PRODUCTION).of("NetworkPolicy")["api"]["spec"]
    assert peers(policy["ingress"]) == {("ingress-nginx", ("http",)), ("monitoring", ("http",))}
    assert peers(policy["egress"]) == {
        ("kube-system", (53,)),
        ("10.20.0.0/22", (5432,)),
        ("10.20.4.0/22", (6379,)),
        ("10.20.8.15/32", (8332,)),
        ("monitoring", (4318,)),
    }


def test_sync_hears_monitoring_alone_and_migrations_hear_nobody() -> None:
    policies = render(PRODUCTION).of("NetworkPolicy")
    assert peers(policies["sync"]["spec"]["ingress"]) == {("monitoring", ("metrics",))}
    assert peers(policies["sync"]["spec"]["egress"]) == {
        ("kube-system", (53,)),
        ("10.20.0.0/22", (5432,)),
        ("10.20.8.15/32", (8332,)),
    }
    assert "ingress" not in policies["migrations"]["spec"]
    assert peers(policies["migrations"]["spec"]["egress"]) == {("kube-system", (53,)), ("10.20.0.0/22", (5432,))}


def test_a_place_that_is_not_used_is_closed() -> None:
    found = render(MINIMAL, "api.cache=false").of("NetworkPolicy")
    assert "ingress" not in found["sync"]["spec"]
    assert peers(found["api"]["spec"]["ingress"]) == {("ingress-nginx", ("http",))}
    assert {port for _, (port,) in peers(found["api"]["spec"]["egress"])} == {53, 5432, 8332}
    assert render(MINIMAL, "network.enabled=false").of("NetworkPolicy") == {}


def test_migrations_are_let_out_before_they_run() -> None:
    found = render(PRODUCTION)
    job, policy = found.of("Job")["migrations"], found.of("NetworkPolicy")["migrations"]
    hooks = [each["metadata"]["annotations"] for each in (job, policy)]
    assert {each["helm.sh/hook"] for each in hooks} == {"pre-install,pre-upgrade"}
    assert int(hooks[1]["helm.sh/hook-weight"]) < int(hooks[0].get("helm.sh/hook-weight", 0))
