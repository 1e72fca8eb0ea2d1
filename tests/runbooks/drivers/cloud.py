"""What tests of the cloud's drivers share: an emulator of AWS with one environment, under the names of the program."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.cloud.devices import DATA_DEVICE
from infra.cloud.rehearsal.emulator import clients
from infra.environment import Driver, Environment, SecretReference
from runbooks.drivers import aws
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

REGION = "us-east-1"
ZONES = tuple(f"{REGION}{letter}" for letter in "abc")
ACCOUNT = "123456789012"
SECRETS = ("database_writer_password", "auth_pepper", "node_rpc_password")


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of this machine's own credentials count."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rehearsal")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rehearsal")
    aws.forget()


def of_test(endpoint: str, test: str) -> Cloud:
    """An environment with a name of the test's own: one emulator serves many."""
    return Cloud(endpoint, f"t{zlib.crc32(test.encode()):08x}")


@dataclass
class Cloud:
    """One environment in an emulator: each `make_…` makes a tier, and `document` describes what is there."""

    endpoint: str
    name: str
    drivers: dict[str, Driver] = field(default_factory=dict)
    subnets: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=lambda: list(SECRETS))

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients' types when it runs
        return clients(self.endpoint, REGION)(service)

    def named(self, part: str) -> str:
        return f"simplicity-{self.name}-{part}"

    def tags(self, part: str, **more: str) -> list[dict[str, str]]:
        tags = {"Name": self.named(part), "project": "simplicity", "environment": self.name, **more}
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    @property
    def document(self) -> Environment:
        where = {"region": REGION, "endpoint": self.endpoint, "account": ACCOUNT}
        secrets = {
            each: SecretReference(source="store", name=f"simplicity/{self.name}/{each}") for each in self.secrets
        }
        return environment(self.name).model_copy(
            update={
                "place": "cloud",
                "drivers": {"aws": Driver(kind="aws", settings=where), **self.drivers},
                "secrets": secrets,
            }
        )

    def make_network(self) -> str:
        ec2 = self.client("ec2")
        network: str = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=network, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for number, zone in enumerate(ZONES)
        ]
        return network

    def make_api(self, *, desired: Mapping[str, int]) -> None:
        """The balancer and both colours, blue live."""
        network, balancer = self.make_network(), self.client("elbv2")
        arns = {
            colour: balancer.create_target_group(
                Name=f"{self.name}-{colour}", Protocol="HTTPS", Port=port, VpcId=network
            )["TargetGroups"][0]["TargetGroupArn"]
            for colour, port in (("blue", 8441), ("green", 8442))
        }
        there = balancer.create_load_balancer(Name=f"{self.name}-api", Subnets=self.subnets)["LoadBalancers"][0]
        groups = [{"TargetGroupArn": arns["blue"], "Weight": 100}, {"TargetGroupArn": arns["green"], "Weight": 0}]
        balancer.create_listener(
            LoadBalancerArn=there["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
        )
        redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        balancer.create_listener(
            LoadBalancerArn=there["LoadBalancerArn"],
            Protocol="HTTP",
            Port=8080,
            DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}],
        )
        self.drivers["traffic_switch"] = Driver(kind="target-groups")
        self.drivers["scaler"] = Driver(kind="autoscaling")
        for colour, arn in arns.items():
            self.make_group(f"api-{colour}", desired[colour], [arn])

    def make_group(self, part: str, desired: int, behind: list[str]) -> None:
        ec2 = self.client("ec2")
        image = ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["arm64"]}])["Images"][0]["ImageId"]
        template = ec2.create_launch_template(
            LaunchTemplateName=self.named(part), LaunchTemplateData={"ImageId": image, "InstanceType": "c7g.large"}
        )["LaunchTemplate"]["LaunchTemplateId"]
        role, _, colour = part.partition("-")
        tags = self.tags(part, role=role, **({"colour": colour} if colour else {}))
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=self.named(part),
            MinSize=min(1, desired),
            MaxSize=4,
            DesiredCapacity=desired,
            VPCZoneIdentifier=",".join(self.subnets),
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            TargetGroupARNs=behind,
            HealthCheckType="ELB" if behind else "EC2",
            Tags=[each | {"PropagateAtLaunch": True} for each in tags],
        )

    def group(self, part: str) -> dict[str, Any]:
        said = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.named(part)])
        found: dict[str, Any] = said["AutoScalingGroups"][0]
        return found

    def types(self, part: str) -> list[str]:
        return [each["InstanceType"] for each in self.group(part)["Instances"]]

    def make_aurora(self, servers: int = 3, **more: Any) -> None:  # noqa: ANN401 - as AWS has them
        rds, name = self.client("rds"), self.named("database")
        password = more or {"ManageMasterUserPassword": True}
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="administrator",
            StorageEncrypted=True,
            Tags=self.tags("database"),
            **password,
        )
        for number in range(servers):
            rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number + 1}",
                DBClusterIdentifier=name,
                Engine="aurora-postgresql",
                DBInstanceClass="db.r7g.large",
                PromotionTier=max(number - 1, 0),
            )
        self.drivers["failover"] = self.drivers["backup"] = Driver(kind="aurora", settings={"identifier": name})

    def make_rds(self) -> None:
        name = self.named("database")
        self.client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            Engine="postgres",
            DBInstanceClass="db.r7g.large",
            AllocatedStorage=20,
            MasterUsername="administrator",
            ManageMasterUserPassword=True,
            MultiAZ=True,
            StorageEncrypted=True,
            Tags=self.tags("database"),
        )
        self.drivers["failover"] = self.drivers["backup"] = Driver(kind="rds", settings={"identifier": name})

    def make_secrets(self) -> None:
        for each in self.secrets:
            self.client("secretsmanager").create_secret(Name=f"simplicity/{self.name}/{each}")
        self.drivers["secrets"] = Driver(kind="secretsmanager")

    def make_cache(self) -> None:
        """A cache that takes everybody, as the program leaves it."""
        self.client("elasticache").create_replication_group(
            ReplicationGroupId=self.named("cache"),
            ReplicationGroupDescription="Cache and rate limits of the API",
            Engine="valkey",
            TransitEncryptionEnabled=True,
        )
        self.secrets.append("cache_password")

    def cache(self) -> dict[str, Any]:
        said = self.client("elasticache").describe_replication_groups(ReplicationGroupId=self.named("cache"))
        found: dict[str, Any] = said["ReplicationGroups"][0]
        return found

    def make_host(self, part: str, role: str = "") -> str:
        ec2 = self.client("ec2")
        image = ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["arm64"]}])["Images"][0]["ImageId"]
        made: str = ec2.run_instances(
            ImageId=image,
            InstanceType="t4g.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=(self.subnets or [self.make_network() and self.subnets[0]])[0],
            TagSpecifications=[{"ResourceType": "instance", "Tags": self.tags(part, role=role or part)}],
        )["Instances"][0]["InstanceId"]
        return made

    def attach_volume(self, host: str, device: str = DATA_DEVICE) -> str:
        """Attach a volume as the program does; its id."""
        ec2 = self.client("ec2")
        zone = ec2.describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]["Placement"]
        made: str = ec2.create_volume(AvailabilityZone=zone["AvailabilityZone"], Size=1, VolumeType="gp3")["VolumeId"]
        ec2.attach_volume(Device=device, InstanceId=host, VolumeId=made)
        return made
