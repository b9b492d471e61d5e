#!/bin/sh
# Fetches Prometheus and promtool, which the tests of rules, dashboards and /metrics ask, once: Debian's package, unpacked
# (about 95 MB on the disk). Where both are on the PATH nothing is fetched.
# It goes to $PLIMSOLL_PROMETHEUS_DIR, or to target/prometheus. A second call finds it there and does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_PROMETHEUS_DIR:-${CARGO_TARGET_DIR:-$here/../target}/prometheus}

if [ -x "$folder/usr/bin/promtool" ] || { command -v promtool && command -v prometheus; } >/dev/null; then
    exit 0
fi
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || {
        echo "fetch-prometheus: $tool is not on the PATH; install Prometheus 2.42 or later so that prometheus and promtool are" >&2
        exit 1
    }
done

# A broken download must not look complete.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/package" "$folder/unpacked" "$folder/usr"
mkdir "$folder/package"
(cd "$folder/package" && { apt-get -qq -o APT::Sandbox::User=root download prometheus || { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download prometheus; }; }) >&2 || {
    echo "fetch-prometheus: apt-get could not download the package (see above); is a Debian mirror reachable?" >&2
    exit 1
}
dpkg-deb -x "$folder"/package/prometheus_*.deb "$folder/unpacked"
mv "$folder/unpacked/usr" "$folder/usr"
rm -rf "$folder/package" "$folder/unpacked"
