#!/usr/bin/env bash
# Boot one host, and boot it again as often as it asks for that. PID 1 of a namespace of processes of its own: whoever
# kills it has cut the host's power.
#   boot.sh GROUP NAME BASE DIRECTORY NETWORK-NAMESPACE [OPTION OF SYSTEMD-NSPAWN]...
set -euo pipefail
group=$1 name=$2 base=$3 directory=$4 network=$5
shift 5

mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 nspawn-run /run/systemd/nspawn
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$group/$name"
echo 0 > "/sys/fs/cgroup/$group/$name/cgroup.procs"
# A volatile overlay leaves a mark there that forbids a second mount.
rm -rf --one-file-system "$directory/work"
mkdir "$directory/work"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$directory/upper,workdir=$directory/work,volatile" "$directory/root"

export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
asked_to_reboot=133
code=$asked_to_reboot
while [ "$code" = "$asked_to_reboot" ]; do
  code=0
  systemd-nspawn --quiet --boot --register=no --keep-unit --machine="$name" --directory="$directory/root" \
    --network-namespace-path="/run/netns/$network" --resolv-conf=off --link-journal=no --console=read-only \
    --capability=CAP_NET_ADMIN "$@" || code=$?
done
exit "$code"
