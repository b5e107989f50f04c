#!/usr/bin/env bash
# Installs the Debian programs that tests and benchmarks run beside the relay, if this is Debian and we may; else says what will be left out.
# Arguments: packages that are wanted beside those of the tests.
set -euo pipefail

packages=(nginx libnginx-mod-nchan libnginx-mod-http-cache-purge varnish redis-server ngircd strace faketime e2fsprogs util-linux gcc libc6-dev wrk)
for package in "$@"; do
  [[ " ${packages[*]} " == *" $package "* ]] && continue
  [ "$package" = postgresql ] && compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && continue
  packages+=("$package")
done

leave_out() {
  echo "servers: $1; tests that need them are left out"
  mkdir -p build
  echo "- tests with nginx, varnish, ngircd, strace or disks of their own: $1" >>build/left-out.txt
  exit 0
}

if ! command -v apt-get >/dev/null; then
  command -v nginx >/dev/null || leave_out "no nginx, and no apt-get to install it with"
  echo "servers: $(nginx -v 2>&1)"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ]; then
    as_root=()
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    leave_out "no right to install ${missing[*]} (as root: apt-get install ${missing[*]})"
  fi
  echo "servers: installing ${missing[*]}"
  # What is installed starts at once on most Debians; nothing of it may listen where a test or somebody else's server does.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
  fi
  "${as_root[@]}" apt-get update -qq || leave_out "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null \
    || leave_out "apt-get could not install ${missing[*]}"
fi
echo "servers: $(PATH="$PATH:/usr/sbin" nginx -v 2>&1)"
