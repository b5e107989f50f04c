#!/usr/bin/env bash
# Installs Debian's Chromium and the fonts of the test messages, if this is Debian and we may; else says what will be left out.
set -euo pipefail

packages=(chromium fonts-noto-color-emoji fonts-noto-core)

leave_out() {
  echo "chromium: $1; the browser tests are left out"
  mkdir -p build
  echo "- browser tests: $1" >>build/left-out.txt
  exit 0
}

if [ -n "${CHATSYNC_CHROMIUM:-}" ]; then
  [ -x "$CHATSYNC_CHROMIUM" ] || leave_out "CHATSYNC_CHROMIUM names no program"
  echo "chromium: $CHATSYNC_CHROMIUM, as CHATSYNC_CHROMIUM says"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  command -v chromium >/dev/null || leave_out "no Chromium, and no apt-get to install it with"
  echo "chromium: $(chromium --version 2>/dev/null || true)"
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
  elif command -v chromium >/dev/null; then
    echo "chromium: ${missing[*]} not installed and no right to; glyphs may be missing in pictures"
    exit 0
  else
    leave_out "no right to install ${missing[*]} (as root: apt-get install ${missing[*]})"
  fi
  echo "chromium: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq || leave_out "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null \
    || leave_out "apt-get could not install ${missing[*]}"
fi
echo "chromium: $(chromium --version 2>/dev/null || true)"
