#!/bin/sh
# kube-apiserver and kube-controller-manager for `make test-real`, from Debian's own source package. Needs root, 4 GB of disk, and minutes.
#
# No registry that we use ships a binary of them. Debian bookworm's source package `kubernetes` (1.20.2) is the whole tree, though its binary
# package is kubectl alone. Its vendored reflect2 1.0.1 crashes under Go 1.18 and later: Debian's 1.0.2 takes its place.
set -eu
target=${FLEET_KUBERNETES:-/var/cache/fleetwave/kubernetes-1.20.2}
[ -x "$target/kube-apiserver" ] && [ -x "$target/kube-controller-manager" ] && exit 0
export DEBIAN_FRONTEND=noninteractive

sources=/etc/apt/sources.list.d/fleetwave-src.sources
work=$(mktemp -d)
trap 'rm -rf "$work" "$sources"' EXIT
printf 'Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' >"$sources"
apt-get update -qq
apt-get install -y -qq --no-install-recommends golang-go golang-github-modern-go-reflect2-dev etcd-server

cd "$work"
apt-get source -qq --download-only kubernetes/bookworm
mkdir -p go/src/k8s.io
tar xzf kubernetes_*.orig.tar.gz -C go/src/k8s.io
mv go/src/k8s.io/kubernetes-* go/src/k8s.io/kubernetes
cd go/src/k8s.io/kubernetes
rm -rf vendor/github.com/modern-go/reflect2
cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2

export GOPATH="$work/go" GO111MODULE=off CGO_ENABLED=0 GOCACHE="$work/cache"
version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
build() { nice -n 15 go build -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20" -o "$work/bin/" "$@"; }

# The picture of every type is generated, not kept: what `make gen_openapi` does for kube-apiserver (Makefile.generated_files).
build k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
inputs=$(grep -rl '+k8s:openapi-gen=true' --include='*.go' pkg staging/src/k8s.io cmd plugin | grep -v zz_generated |
  grep -vE '/(code-generator|sample-apiserver|sample-controller)/' | xargs -n1 dirname | sort -u |
  sed 's#^staging/src/#vendor/#; s#^#k8s.io/kubernetes/#' | paste -sd,)
"$work/bin/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt -O zz_generated.openapi \
  --output-base "$GOPATH/src" -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi -r "$work/violations" 2>/dev/null

build k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
mkdir -p "$target"
install "$work/bin/kube-apiserver" "$work/bin/kube-controller-manager" "$target/"
