#!/bin/sh
# Counterparts that are not ours, for `make test-real` on Debian or Ubuntu: OpenSSH, Slurm, munge, net-snmp, Kubernetes' control plane. Needs root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y --no-install-recommends openssh-server slurm-wlm munge snmpd
sh "$(dirname "$0")/kubernetes.sh"
