"""What the program's own documents make of the playbooks: each stack's inventory, and what hosts are told by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.cloud import stacks
from infra.cloud.document import document_of
from infra.cloud.settings import check
from infra.cloud.tiers.network import subnets
from infra.fleet.document import document_of as fleet_document
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from playbooks.inventory import inventory
from runbooks.drivers.aws import Aws
from tests.infra.cloud.conftest import VALUES
from tests.infra.cloud.test_program import ADMIN, FACTS

if TYPE_CHECKING:
    from infra.cloud.settings import Settings
    from infra.environment import Environment

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
ROLES = PLAYBOOKS / "roles"
# What is asked of each host: the settings of what runs there, and two files.
FIREWALL, BACKUPS = ROLES / "base/templates/nftables.conf.j2", ROLES / "pgbackrest/templates/pgbackrest.conf.j2"
WORDS = {
    "files": "{{ indexer_files if 'application' in group_names else {} }}",
    "firewall": f"{{{{ lookup('ansible.builtin.template', '{FIREWALL}') }}}}",
    "backups": f"{{{{ lookup('ansible.builtin.template', '{BACKUPS}') if 'database' in group_names else '' }}}}",
}
ADDRESSES = ("10.20.96.10", "10.20.112.10", "10.20.128.10")
KINDS = ("aurora", "rds", "patroni")


def settings_of(name: str) -> Settings:
    """A stack's settings by its name, or those of a kind of database."""
    if name in stacks.names():
        return stacks.load(name)
    return check({**VALUES, "database": {"kind": name, "readers": 0, "authorities_sha256": "ab" * 32}})


def documented(settings: Settings) -> Environment:
    patroni = settings.database.kind == "patroni"
    facts = replace(
        FACTS,
        database_writer=",".join(ADDRESSES) if patroni else FACTS.database_writer,
        database_addresses=ADDRESSES if patroni else (),
        database_admin_secret=None if patroni else ADMIN,
    )
    return document_of(settings, facts)


def running(environment: Environment) -> list[dict[str, Any]]:
    """What EC2 says of the hosts that the program makes."""
    parts = [("api-blue", "api", 2), ("api-green", "api", 1), ("sync", "sync", 2), ("monitoring", "monitoring", 1)]
    parts += [(each.name, "database", 1) for each in environment.hosts.get("database", ())]
    found: list[dict[str, Any]] = []
    for part, role, count in parts:
        for _ in range(count):
            number = len(found)
            tags = {"Name": f"simplicity-{environment.name}-{part}", "role": role}
            if role in {"api", "sync"}:
                tags["aws:autoscaling:groupName"] = part
            if role == "api":
                tags["colour"] = part.removeprefix("api-")
            its = {"InstanceId": f"i-0000000{number:010}", "PrivateIpAddress": f"10.20.64.{10 + number}"}
            found.append({**its, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})
    return [{"Instances": found}]


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    monkeypatch.setenv("SIMPLICITY_SECRETS", str(directory))
    return directory


def inventoried(name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Environment, dict[str, Any]]:
    document = documented(settings_of(name))
    for each in document.secrets:
        (secrets / each).write_text(f"{each}-of-{'x' * 32}\n")
    monkeypatch.setattr(Aws, "all", lambda *_, **__: running(document))
    return document, inventory(document)


def told(found: dict[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """What Ansible itself makes of an inventory, the variables of its groups and templates: by host, then by WORDS."""
    (folder / "inventory.json").write_text(json.dumps(found))
    script = folder / "inventory.py"
    script.write_text(f"#!{sys.executable}\nprint(open({str(folder / 'inventory.json')!r}).read())\n")
    script.chmod(0o755)
    (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [f"{ROLES}/indexer/vars/main.yml", f"{ROLES}/pgbackrest/defaults/main.yml"],
        "tasks": [{"ansible.builtin.debug": {"msg": WORDS}}],
    }
    (folder / "play.json").write_text(json.dumps([play]))
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))}
    given = {"ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    given |= {"ANSIBLE_HOME": str(folder), "ANSIBLE_CACHE_PLUGIN": "memory"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(script), str(folder / "play.json")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**bare, **given},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (ran,) = json.loads(done.stdout)["plays"]
    return {host: said["msg"] for host, said in ran["tasks"][0]["hosts"].items()}


@pytest.mark.parametrize("stack", stacks.names())
def test_each_stack_s_document_leads_to_its_hosts(stack: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document, found = inventoried(stack, secrets, monkeypatch)
    variables, hosts = found["all"]["vars"], found["_meta"]["hostvars"]
    assert (len(found["api_blue"]["hosts"]), len(found["api_green"]["hosts"])) == (2, 1)
    assert set(found["api"]["hosts"]) == {*found["api_blue"]["hosts"], *found["api_green"]["hosts"]}
    assert set(found["application"]["hosts"]) == {*found["api"]["hosts"], *found["indexer"]["hosts"]}
    assert {hosts[each]["own_colour"] for each in found["api_green"]["hosts"]} == {"green"}
    assert {each["ansible_aws_ssm_bucket_name"] for each in hosts.values()} == {FACTS.sessions}
    assert variables["cache_address"] == f"{FACTS.cache_host}:{FACTS.cache_port}"
    assert variables["balancer_networks"] == list(subnets(stacks.load(stack).network.cidr)[0])
    assert set(variables["secret_files"]) == set(document.secrets)
    assert variables["pki_directory"] == f"/etc/simplicity/{stack}/pki"
    assert (found["etcd"]["hosts"], found["cache"]["hosts"], found["balancer"]["hosts"]) == ([], [], [])


@pytest.mark.parametrize("kind", KINDS)
def test_hosts_of_the_cloud_are_told_what_is_theirs(
    kind: str, secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, found = inventoried(kind, secrets, monkeypatch)
    hosts = told(found, tmp_path)
    apis, syncs = ([hosts[each] for each in found[role]["hosts"]] for role in ("api", "indexer"))
    for each in apis:
        files = each["files"]
        assert set(files) == {"indexer", "api", "api-blue", "api-green"}
        assert "database_writer_password" not in json.dumps(files)
        # Only the balancer's networks may say who a client is: from elsewhere it is the peer that counts.
        assert files["api"]["API_TRUSTED_PROXIES"] == "10.20.0.0/20 10.20.16.0/20 10.20.32.0/20"
        cache = urlsplit(files["api"]["REDIS_URL"])
        assert (cache.scheme, cache.hostname, cache.port) == ("rediss", FACTS.cache_host, FACTS.cache_port)
        assert parse_qs(cache.query)["ssl_ca_certs"] == ["/etc/ssl/certs/ca-certificates.crt"]
        assert "tcp dport 8441 ip saddr { 10.20.0.0/20, 10.20.16.0/20, 10.20.32.0/20, " in each["firewall"]
    for each in syncs:
        assert set(each["files"]) == {"indexer", "sync"}
        assert not any(name in json.dumps(each["files"]) for name in ("auth_pepper", "database_reader_password"))
    authority = "ca" if kind == "patroni" else "rds-ca"
    for url in [each["files"]["api"]["DATABASE_URL"] for each in apis] + [
        each["files"]["sync"]["DATABASE_URL"] for each in syncs
    ]:
        options = parse_qs(url.partition("?")[2])
        assert options["sslmode"] == ["verify-full"]
        assert options["sslrootcert"] == [f"/etc/simplicity/tls/{authority}.pem"]
        servers = [each.partition(":")[0] for each in url.rpartition("@")[2].partition("/")[0].split(",")]
        assert servers == document.endpoints.database.host.split(",")
    for each in hosts.values():
        # An empty set is no set to nftables, which would refuse the whole firewall.
        assert "{  }" not in each["firewall"]
        assert "dport 22 " not in each["firewall"]


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_a_database_of_amazon_s_is_trusted_by_amazon_s_authorities_alone(kind: str) -> None:
    settings = documented(settings_of(kind)).drivers["database_authorities"].settings
    assert settings["url"] == "https://truststore.pki.rds.amazonaws.com/us-east-1/us-east-1-bundle.pem"
    assert settings["sha256"] == "ab" * 32
    assert Path(settings["file"]).is_absolute()


def test_with_patroni_the_database_s_hosts_vote_and_their_role_opens_the_store_of_backups(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, found = inventoried("patroni", secrets, monkeypatch)
    names = ["database-1", "database-2", "database-3"]
    assert found["etcd"]["hosts"] == found["database"]["hosts"] == names
    assert [each.name for each in document.hosts["database"]] == names
    assert "database_authorities" not in document.drivers
    hosts = told(found, tmp_path)
    for each in names:
        said = hosts[each]["backups"]
        assert "repo1-s3-key-type=auto" in said
        assert "repo1-s3-key=" not in said
        assert f"repo1-s3-bucket={FACTS.backups}" in said
        assert "repo1-s3-endpoint=s3.us-east-1.amazonaws.com" in said


def test_hosts_of_a_fleet_are_told_what_they_always_were(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "fleet")
    storage.secrets.mkdir(parents=True)
    document = fleet_document(Plan(), storage)
    for each in document.secrets.values():
        Path(each.name).write_text("x" * 32 + "\n")
    found = inventory(document)
    hosts = told(found, tmp_path)
    balancers = [each.address for each in document.hosts["balancer"]]
    (cache,) = document.hosts["cache"]
    for each in found["application"]["hosts"]:
        files = hosts[each]["files"]
        assert set(files) == {"indexer", "api", "sync", "api-blue", "api-green"}
        assert files["api"]["API_TRUSTED_PROXIES"] == " ".join(balancers)
        assert files["api"]["REDIS_URL"].endswith(f"@{cache.address}:6379/0?ssl_ca_certs=/etc/simplicity/tls/ca.pem")
        assert "sslmode=verify-full&sslrootcert=/etc/simplicity/tls/ca.pem&" in files["sync"]["DATABASE_URL"]
        assert "tcp dport 22 ip saddr" in hosts[each]["firewall"]
    assert "repo1-s3-key-secret=" in hosts["db1"]["backups"]
