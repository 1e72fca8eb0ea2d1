#!/usr/bin/env bash
# Download packages, with all that a base image lacks of what they need, and index them as a flat repository.
#   collect.sh BASE OUT PACKAGE...      in a mount namespace of its own
set -euo pipefail
base=$1 out=$2
shift 2

scratch=$(mktemp -d)
mount -t tmpfs -o mode=755 scratch "$scratch"
mkdir "$scratch"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$base,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
cp /etc/resolv.conf "$scratch/root/etc/resolv.conf"
mkdir "$out/partial"
mount --bind "$out" "$scratch/root/mnt"
chroot "$scratch/root" apt-get -qq update
chroot "$scratch/root" apt-get -qq --yes --no-install-recommends --download-only \
  -o Dir::Cache::archives=/mnt -o Debug::NoLocking=1 install "$@"
umount "$scratch/root/mnt" "$scratch/root" "$scratch"
rmdir "$scratch"
rm -rf "$out/partial" "$out/lock"
cd "$out"
apt-ftparchive packages . > Packages
gzip --keep --best Packages
apt-ftparchive release . > Release
