#!/bin/sh
# Fetches the jars of the real Kafka broker that the tests start: about 124 MB from Maven Central, once.
# They go to $PLIMSOLL_BROKER_DIR, or to target/broker. A second call finds them there and does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_BROKER_DIR:-${CARGO_TARGET_DIR:-$here/../target}/broker}
wanted=$(cksum <"$here/broker/pom.xml")

if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$wanted" ]; then
    exit 0
fi
for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        echo "fetch-broker: $tool is not on the PATH; install a JDK 17 or later and Maven" \
            "(Debian: apt-get install openjdk-17-jre-headless maven)" >&2
        exit 1
    }
done

# Jars of another version must not stay beside the new ones, and a broken download must not look complete.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -f "$folder/complete" "$folder"/*.jar
mvn -q -B -Dstyle.color=never -f "$here/broker/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder" >&2 || {
    echo "fetch-broker: maven could not fetch the broker (see above); is Maven Central or a mirror of it reachable?" >&2
    exit 1
}
echo "$wanted" >"$folder/complete"
