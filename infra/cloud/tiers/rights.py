"""What the roles of pipelines may do: by service, what they look at and what they change, and of which things.

AWS can hold a right to some things by their names, by a tag, or by nothing but the region. Each service is held by the
narrowest of these that it knows, and no action is named by a pattern. docs/pipelines.md says what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.cloud.site import Site


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service: actions without its prefix, blank between them.

    `reads` are asked of this account's things, `lists` of nothing that has a name. `writes` change things that are
    named `named`, ARNs without `arn:aws:SERVICE:`, of `{region}`, `{account}` and `{prefix}`. `tagged` change things
    that bear the stack's tag, `makes` make some that get it, both `anywhere`. `makes_nameless` make what has no name
    when it is asked for; AWS asks those for the tag where it `can_tell`.
    """

    reads: str = ""
    lists: str = ""
    writes: str = ""
    named: tuple[str, ...] = ()
    makes: str = ""
    tagged: str = ""
    anywhere: tuple[str, ...] = ()
    makes_nameless: str = ""
    can_tell: bool = False


_OF = "{region}:{account}:"
# What makes something of EC2's that gets its tags at once.
MAKES = (
    "AllocateAddress CreateFlowLogs CreateInternetGateway CreateLaunchTemplate CreateNatGateway CreateRouteTable"
    " CreateSecurityGroup CreateSubnet CreateVolume CreateVpc CreateVpcEndpoint RunInstances"
)
SERVICES: Mapping[str, Service] = {
    "acm": Service(
        reads="DescribeCertificate ListTagsForCertificate",
        makes="RequestCertificate AddTagsToCertificate",
        tagged="AddTagsToCertificate DeleteCertificate RemoveTagsFromCertificate UpdateCertificateOptions",
        anywhere=(f"{_OF}certificate/*",),
    ),
    "aps": Service(
        reads="DescribeLoggingConfiguration DescribeWorkspace ListTagsForResource",
        makes="TagResource",
        makes_nameless="CreateWorkspace",
        can_tell=True,
        tagged="CreateLoggingConfiguration DeleteLoggingConfiguration DeleteWorkspace TagResource UntagResource"
        " UpdateLoggingConfiguration UpdateWorkspaceAlias",
        anywhere=(f"{_OF}workspace/*",),
    ),
    "application-autoscaling": Service(
        reads="ListTagsForResource",
        lists="DescribeScalableTargets DescribeScalingPolicies",
        writes="DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy RegisterScalableTarget TagResource"
        " UntagResource",
        # Targets have no names of ours; which cluster is meant is held by the rights to that.
        named=(f"{_OF}scalable-target/*",),
    ),
    "autoscaling": Service(
        lists="DescribeAutoScalingGroups DescribeInstanceRefreshes DescribePolicies DescribeScalingActivities"
        " DescribeTags DescribeWarmPool",
        writes="AttachLoadBalancerTargetGroups AttachTrafficSources CancelInstanceRefresh CreateAutoScalingGroup"
        " CreateOrUpdateTags DeleteAutoScalingGroup DeletePolicy DeleteTags DeleteWarmPool"
        " DetachLoadBalancerTargetGroups DetachTrafficSources DisableMetricsCollection EnableMetricsCollection"
        " PutScalingPolicy PutWarmPool RollbackInstanceRefresh StartInstanceRefresh UpdateAutoScalingGroup",
        named=(f"{_OF}autoScalingGroup:*:autoScalingGroupName/{{prefix}}-*",),
    ),
    "backup": Service(
        reads="DescribeBackupVault GetBackupPlan GetBackupSelection ListTags",
        # The lock of a vault comes off by nobody's hand here.
        writes="CreateBackupVault DeleteBackupVault PutBackupVaultLockConfiguration TagResource UntagResource",
        named=(f"{_OF}backup-vault:{{prefix}}-*",),
        makes="CreateBackupPlan TagResource",
        tagged="CreateBackupSelection DeleteBackupPlan DeleteBackupSelection TagResource UntagResource"
        " UpdateBackupPlan",
        anywhere=(f"{_OF}backup-plan:*",),
    ),
    # Without it no vault is made.
    "backup-storage": Service(makes_nameless="MountCapsule"),
    "budgets": Service(
        reads="ListTagsForResource ViewBudget",
        writes="ModifyBudget TagResource UntagResource",
        named=(":{account}:budget/{prefix}-*",),
    ),
    "cloudtrail": Service(
        reads="GetEventSelectors GetInsightSelectors GetTrail GetTrailStatus ListTags",
        lists="DescribeTrails",
        # Neither to stop it nor to delete it: who came in by a pipeline would begin with that.
        writes="AddTags CreateTrail PutEventSelectors RemoveTags StartLogging UpdateTrail",
        named=(f"{_OF}trail/{{prefix}}-*",),
    ),
    "cloudwatch": Service(
        reads="DescribeAlarms ListTagsForResource",
        writes="DeleteAlarms DisableAlarmActions EnableAlarmActions PutMetricAlarm TagResource UntagResource",
        named=(f"{_OF}alarm:{{prefix}}-*",),
    ),
    "ec2": Service(
        lists="DescribeAccountAttributes DescribeAddresses DescribeAddressesAttribute DescribeAvailabilityZones"
        " DescribeFlowLogs DescribeIamInstanceProfileAssociations DescribeImages DescribeInstanceAttribute"
        " DescribeInstanceCreditSpecifications"
        " DescribeInstanceTypes DescribeInstances DescribeInternetGateways DescribeLaunchTemplateVersions"
        " DescribeLaunchTemplates DescribeNatGateways DescribeNetworkAcls DescribeNetworkInterfaces"
        " DescribePrefixLists DescribeRouteTables DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets"
        " DescribeTags DescribeVolumes DescribeVolumesModifications DescribeVpcAttribute DescribeVpcEndpointServices"
        " DescribeVpcEndpoints DescribeVpcs",
        makes=MAKES,
        # What is made in something that is there is a right to both.
        tagged=f"{MAKES} AssociateIamInstanceProfile AssociateRouteTable AttachInternetGateway AttachVolume"
        " AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateLaunchTemplateVersion"
        " CreateRoute CreateTags DeleteFlowLogs DeleteInternetGateway DeleteLaunchTemplate"
        " DeleteNatGateway DeleteRoute DeleteRouteTable DeleteSecurityGroup DeleteSubnet DeleteTags"
        " DeleteVolume DeleteVpc DeleteVpcEndpoints DetachInternetGateway DetachVolume DisassociateAddress"
        " DisassociateRouteTable ModifyInstanceAttribute ModifyInstanceMetadataOptions"
        " ModifyLaunchTemplate ModifySecurityGroupRules ModifySubnetAttribute ModifyVolume"
        " ModifyVpcAttribute ModifyVpcEndpoint ReleaseAddress ReplaceIamInstanceProfileAssociation"
        " ReplaceRoute ReplaceRouteTableAssociation RevokeSecurityGroupEgress RevokeSecurityGroupIngress"
        " StartInstances StopInstances TerminateInstances UpdateSecurityGroupRuleDescriptionsEgress"
        " UpdateSecurityGroupRuleDescriptionsIngress",
        anywhere=(f"{_OF}*",),
    ),
    "elasticache": Service(
        reads="DescribeCacheClusters DescribeCacheParameterGroups DescribeCacheParameters DescribeCacheSubnetGroups"
        " DescribeReplicationGroups ListTagsForResource",
        writes="AddTagsToResource CreateCacheParameterGroup CreateCacheSubnetGroup CreateReplicationGroup"
        " DecreaseReplicaCount DeleteCacheParameterGroup DeleteCacheSubnetGroup DeleteReplicationGroup"
        " IncreaseReplicaCount ModifyCacheParameterGroup ModifyCacheSubnetGroup ModifyReplicationGroup"
        " RemoveTagsFromResource ResetCacheParameterGroup",
        named=tuple(
            f"{_OF}{each}:{{prefix}}-*" for each in ("cluster", "parametergroup", "replicationgroup", "subnetgroup")
        ),
    ),
    "elasticloadbalancing": Service(
        lists="DescribeCapacityReservation DescribeListenerAttributes DescribeListenerCertificates DescribeListeners"
        " DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeRules DescribeTags"
        " DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth",
        writes="AddListenerCertificates AddTags CreateListener CreateLoadBalancer CreateRule CreateTargetGroup"
        " DeleteListener DeleteLoadBalancer DeleteRule DeleteTargetGroup ModifyListener ModifyListenerAttributes"
        " ModifyLoadBalancerAttributes ModifyRule ModifyTargetGroup ModifyTargetGroupAttributes"
        " RemoveListenerCertificates RemoveTags SetIpAddressType SetRulePriorities SetSecurityGroups SetSubnets"
        " SetWebAcl",
        named=(
            *(f"{_OF}{each}/app/{{environment}}-*/*" for each in ("loadbalancer", "listener", "listener-rule")),
            f"{_OF}targetgroup/{{environment}}-*/*",
        ),
    ),
    "grafana": Service(
        reads="DescribeWorkspace DescribeWorkspaceAuthentication DescribeWorkspaceConfiguration ListPermissions"
        " ListTagsForResource",
        makes="TagResource",
        makes_nameless="CreateWorkspace",
        can_tell=True,
        tagged="DeleteWorkspace TagResource UntagResource UpdatePermissions UpdateWorkspace"
        " UpdateWorkspaceAuthentication UpdateWorkspaceConfiguration",
        anywhere=(f"{_OF}/workspaces/*",),
    ),
    "kms": Service(
        reads="DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
        lists="ListAliases",
        makes="TagResource",
        makes_nameless="CreateKey",
        can_tell=True,
        # To use them as well: a volume, a topic and a log are made under a key by who may use it.
        tagged="CancelKeyDeletion CreateAlias CreateGrant Decrypt DeleteAlias DisableKey DisableKeyRotation EnableKey"
        " EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext PutKeyPolicy ReEncryptFrom"
        " ReEncryptTo ScheduleKeyDeletion TagResource UntagResource UpdateAlias UpdateKeyDescription",
        anywhere=(f"{_OF}key/*",),
        writes="CreateAlias DeleteAlias UpdateAlias",
        named=(f"{_OF}alias/{{prefix}}-*",),
    ),
    "logs": Service(
        reads="DescribeLogGroups DescribeMetricFilters ListTagsForResource",
        lists="DescribeResourcePolicies GetLogDelivery ListLogDeliveries",
        # How the firewall and Amazon's store are let write their logs: of none of these has AWS a name.
        makes_nameless="CreateLogDelivery DeleteLogDelivery PutResourcePolicy UpdateLogDelivery",
        writes="AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteMetricFilter DeleteRetentionPolicy"
        " DisassociateKmsKey PutMetricFilter PutRetentionPolicy TagResource UntagResource",
        named=tuple(
            f"{_OF}log-group:{each}*"
            for each in (
                "/simplicity/{environment}/",
                "aws-waf-logs-{prefix}",
                "/aws/rds/cluster/{prefix}-",
                "/aws/rds/instance/{prefix}-",
                "/aws/vendedlogs/prometheus/{prefix}",
            )
        ),
    ),
    "rds": Service(
        reads="DescribeDBClusterParameterGroups DescribeDBClusterParameters DescribeDBClusters DescribeDBInstances"
        " DescribeDBParameterGroups DescribeDBParameters DescribeDBSubnetGroups DescribeEventSubscriptions"
        " ListTagsForResource",
        lists="DescribeGlobalClusters DescribeDBEngineVersions DescribeOrderableDBInstanceOptions",
        writes="AddSourceIdentifierToSubscription AddTagsToResource CreateDBCluster CreateDBClusterParameterGroup"
        " CreateDBClusterSnapshot CreateDBInstance CreateDBParameterGroup CreateDBSnapshot CreateDBSubnetGroup"
        " CreateEventSubscription DeleteDBCluster DeleteDBClusterParameterGroup DeleteDBInstance"
        " DeleteDBParameterGroup DeleteDBSubnetGroup DeleteEventSubscription ModifyDBCluster"
        " ModifyDBClusterParameterGroup ModifyDBInstance ModifyDBParameterGroup ModifyDBSubnetGroup"
        " ModifyEventSubscription RebootDBInstance RemoveSourceIdentifierFromSubscription RemoveTagsFromResource"
        " ResetDBClusterParameterGroup ResetDBParameterGroup",
        named=(
            *(
                f"{_OF}{each}:{{prefix}}-*"
                for each in ("cluster", "cluster-pg", "cluster-snapshot", "db", "es", "pg", "snapshot", "subgrp")
            ),
            # RDS' own groups of options: each server is made in one.
            f"{_OF}og:default:*",
        ),
    ),
    "route53": Service(
        reads="GetChange GetHealthCheck GetHostedZone ListResourceRecordSets ListTagsForResource",
        lists="ListHostedZones",
        makes_nameless="CreateHealthCheck CreateHostedZone",
        writes="ChangeTagsForResource DeleteHealthCheck DeleteHostedZone UpdateHealthCheck UpdateHostedZoneComment",
        # Neither has a name of ours, or a tag that AWS asks.
        named=("::hostedzone/{zone}", "::healthcheck/*"),
    ),
    "s3": Service(
        reads="GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLogging GetBucketObjectLockConfiguration"
        " GetBucketOwnershipControls GetBucketPolicy GetBucketPublicAccessBlock GetBucketRequestPayment"
        " GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration GetLifecycleConfiguration"
        " GetReplicationConfiguration ListBucket ListTagsForResource",
        # Of no object: a pipeline neither reads a backup or a log nor deletes one.
        writes="CreateBucket DeleteBucket DeleteBucketPolicy PutBucketLogging PutBucketObjectLockConfiguration"
        " PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning"
        " PutEncryptionConfiguration PutLifecycleConfiguration PutReplicationConfiguration TagResource UntagResource",
        named=("::{prefix}-*-{account}",),
    ),
    "secretsmanager": Service(
        # Not to read their values.
        reads="DescribeSecret GetResourcePolicy ListSecretVersionIds",
        writes="CreateSecret DeleteSecret RestoreSecret TagResource UntagResource UpdateSecret",
        # And the one that RDS makes of its administrator's password.
        named=(f"{_OF}secret:simplicity/{{environment}}/*", f"{_OF}secret:rds!*"),
    ),
    "sns": Service(
        reads="GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource",
        writes="CreateTopic DeleteTopic SetSubscriptionAttributes SetTopicAttributes Subscribe TagResource"
        " Unsubscribe UntagResource",
        named=(f"{_OF}{{prefix}}-*",),
    ),
    "wafv2": Service(
        reads="GetIPSet GetLoggingConfiguration GetWebACL GetWebACLForResource ListTagsForResource",
        writes="AssociateWebACL CreateIPSet CreateWebACL DeleteIPSet DeleteLoggingConfiguration DeleteWebACL"
        " DisassociateWebACL PutLoggingConfiguration TagResource UntagResource UpdateIPSet UpdateWebACL",
        named=(
            *(f"{_OF}regional/{each}/{{prefix}}-*/*" for each in ("ipset", "webacl")),
            # Amazon's own rules, which ours refer to.
            f"{_OF}regional/managedruleset/*",
        ),
    ),
}


def named(service: str, words: str) -> Iterator[str]:
    """Give actions with their service."""
    return (f"{service}:{each}" for each in words.split())


def arns(site: Site, service: str, patterns: tuple[str, ...]) -> Iterator[str]:
    """Give the ARNs of a service that patterns mean in a stack; a bucket's has no account in it."""
    for each in patterns:
        yield f"arn:aws:{service}:" + each.format(
            # Which regions: the policy's condition says.
            region="*",
            account=site.account,
            prefix=site.prefix,
            environment=site.settings.environment,
            zone=site.settings.names.zone_id or "*",
        )
