#!/usr/bin/env bash
# Build what lints the workflows and is no Python package, into .venv/tools. Where no Go is, nothing is built, and said.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.7.12
tools=$PWD/.venv/tools

if "$tools/actionlint" -version 2> /dev/null | head -n 1 | grep -qxF "$version"; then
  exit 0
fi
if ! command -v go > /dev/null; then
  echo 'actionlint: left out: it is built by Go, which is not here (go.dev/dl, or your distribution)'
  exit 0
fi
echo "set-up: actionlint $version"
mkdir -p "$tools"
# The checksum database vouches for what is downloaded.
GOBIN=$tools GOFLAGS=-mod=mod go install "github.com/rhysd/actionlint/cmd/actionlint@$version"
