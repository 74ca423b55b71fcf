#!/bin/sh
# Installs the counterparts that `make test-real` runs against; what is missing is skipped, with its reason. Debian or Ubuntu, as root.
# Nothing is left running: the tests start each server themselves, as their own process, on a port of its own.
set -eu
packages="openssh-server slurm-wlm munge snmpd"
# Debian starts a service as soon as it is installed; this machine may not want one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -q
# shellcheck disable=SC2086 (a list)
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ${*:-$packages}
