#!/usr/bin/env bash
# helm and kubeconform, pinned, into .venv/tools: the tests of the chart need them. Where there is no Go they are left
# out, and so are those tests, which say so.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly FOLDER=$PWD/.venv/tools

install() {
  local module=$1 package=$2 version=$3 binary=$FOLDER/${2##*/}
  if [[ -x $binary ]] && go version -m "$binary" | grep -qF "$(printf 'mod\t%s\t%s\t' "$module" "$version")"; then
    return
  fi
  printf 'set-up: %s %s\n' "${binary##*/}" "$version"
  GOBIN=$FOLDER GOFLAGS='-mod=mod -buildvcs=false' go install "$module/$package@$version" 2> "$FOLDER/install.log" || {
    cat "$FOLDER/install.log" >&2
    exit 1
  }
}

if ! command -v go > /dev/null; then
  echo 'no Go here: helm and kubeconform are not installed, and the tests of the chart will be left out'
  exit 0
fi
mkdir -p "$FOLDER"
install helm.sh/helm/v3 cmd/helm v3.22.0
install github.com/yannh/kubeconform cmd/kubeconform v0.8.0
