"""Answers to alerts about what only a fleet has: replication and who leads, certificates, units that failed."""

from __future__ import annotations

from runbooks.response.acts import evidence_step, metrics
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, metric_look

CERTIFICATE_DAYS = 30
MEMBERS = metrics(
    leads="patroni_primary{HERE}",
    stands_by_without_loss="patroni_sync_standby{HERE}",
    streams="patroni_postgres_streaming{HERE}",
    bytes_written="max by (scope) (patroni_xlog_location{HERE})",
    bytes_replayed="patroni_xlog_replayed_location{HERE}",
    timeline="patroni_postgres_timeline{HERE}",
    paused="patroni_is_paused{HERE}",
    seconds_since_etcd="time() - patroni_dcs_last_seen{HERE}",
)
VOTES = metrics(answers='up{job="etcd",HERE}', knows_a_leader="etcd_server_has_leader{HERE}")
PATRONICTL = "patronictl -c /etc/patroni/config.yml"
ENDS = "simplicity_certificate_expires_timestamp_seconds{HERE} - time()"

REPLICATION = answer(
    "answer-replication",
    title="Answer: the database has no standby, no leader, or one vote less",
    meaning="A database server is away, hangs or is cut off, or a member of etcd, whose votes decide which server "
    "leads; or somebody has paused failover.",
    impact="With a leader everything works; one fault more may stop all writing. Without a leader nothing is written, "
    "and the API answers what it has kept.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"servers": MEMBERS, "votes": VOTES},
            "a host is away: start it, and its server rejoins by itself; a server does not stream, or its timeline is "
            f"an older one: `{PATRONICTL} reinit CLUSTER MEMBER` copies it anew; paused: `{PATRONICTL} resume`; fewer "
            "than half of the votes: bring hosts of them back, the leader steps down until then",
            f"on a database server, as root: `{PATRONICTL} list`; `journalctl -u patroni -u etcd --since -1h`",
        ),
    ),
    verify=(
        metric_look(
            "One server leads",
            "sum by (scope) (patroni_primary{HERE})",
            lambda leaders: leaders == 1,
            "servers that lead; one is right",
            within=60.0,
        ),
        metric_look(
            "Another one could take over without loss",
            "sum by (scope) (patroni_sync_standby{HERE})",
            lambda standbys: standbys >= 1,
            "servers that could; one at least",
            within=300.0,
        ),
    ),
    undo="Nothing is changed here. What `reinit` copies anew was a copy before: commits are on the leader.",
)

CERTIFICATE = answer(
    "answer-certificate",
    title="Answer: a certificate is near its end",
    meaning="A certificate between hosts, or that of the authority which signs them, was not renewed: the playbook was "
    "not run for weeks, or it failed on this host.",
    impact="Nothing yet. At its end nobody connects to this host any more; at the authority's end nobody to anyone.",
    diagnosis=(HEALTH,),
    steps=(
        evidence_step(
            {"seconds_left": metrics(seconds_left=ENDS)},
            "a host's: run the playbook `base.yaml` with the tag `certificates`, which renews what has less than "
            f"{CERTIFICATE_DAYS} days left and has it read again; the authority's: make a new one and trust both, then "
            "sign anew host by host, and drop the old one last",
            "on the host, `openssl x509 -enddate -noout -in /etc/simplicity/tls/host.pem`",
        ),
    ),
    verify=(
        metric_look(
            "Every certificate has time left",
            ENDS,
            lambda seconds: seconds >= CERTIFICATE_DAYS * 86_400,
            f"seconds left; {CERTIFICATE_DAYS} days at least",
            within=600.0,
        ),
    ),
    undo="Nothing is changed here; a renewed certificate is as good as the one before.",
)

UNIT = answer(
    "answer-unit-failed",
    title="Answer: a systemd unit has failed",
    meaning="A service was started again and again and given up, or work by a timer ended with an error.",
    impact="By its name: a service of which there are several is carried by the others; of work by a timer nothing was "
    "done since.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"failed": metrics(failed='node_systemd_unit_state{state="failed",HERE} == 1')},
            "its log names the reason; when that is mended, `systemctl restart UNIT` on the host for a service, "
            "`systemctl start UNIT` for work that should not wait for its timer",
            "on the host, as root: `systemctl --failed`; `journalctl -u UNIT -n 100`",
        ),
    ),
    undo="Nothing is changed here.",
)

RUNBOOKS = (REPLICATION, CERTIFICATE, UNIT)
