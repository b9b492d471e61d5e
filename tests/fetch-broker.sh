#!/bin/sh
# Fetches the jars of the real Kafka broker that the tests start: about 124 MB from Maven Central, once.
# They go to $PLIMSOLL_BROKER_DIR, or to target/broker. A second call finds them there and does nothing.
# Beside them it keeps what each of the many brokers would else do again: `formatted`, the folder of a broker that was never
# started, and `broker.jsa`, the classes that a broker loads as Java maps them (its class data sharing).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_BROKER_DIR:-${CARGO_TARGET_DIR:-$here/../target}/broker}
wanted=$(cat "$here/broker/pom.xml" "$here/broker/server.properties" | cksum)

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
rm -rf "$folder/complete" "$folder"/*.jar "$folder/broker.jsa"
mvn -q -B -Dstyle.color=never -f "$here/broker/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder" >&2 || {
    echo "fetch-broker: maven could not fetch the broker (see above); is Maven Central or a mirror of it reachable?" >&2
    exit 1
}

first=$folder/first
for attempt in 1 2 3; do
    rm -rf "$first" "$folder/formatted"
    mkdir "$first"
    port=$((20000 + ($$ * 3 + attempt * 1009) % 10000))
    {
        cat "$here/broker/server.properties"
        echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))"
        echo "controller.quorum.voters=1@127.0.0.1:$((port + 1))"
        echo "log.dirs=$first/data"
    } >"$first/server.properties"
    # Any 16 bytes in URL-safe base64 are the id of a cluster.
    java -cp "$folder/*" kafka.tools.StorageTool format -t UGxpbXNvbGwtdGVzdHMtMQ -c "$first/server.properties" >"$first/log" 2>&1 || {
        echo "fetch-broker: the folder of a broker cannot be formatted:" >&2
        tail -n 15 "$first/log" >&2
        exit 1
    }
    cp -R "$first/data" "$folder/formatted"
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ArchiveClassesAtExit="$folder/broker.jsa" -cp "$folder/*" \
        kafka.Kafka "$first/server.properties" >"$first/log" 2>&1 </dev/null &
    broker=$!
    waited=0
    while kill -0 "$broker" 2>/dev/null && [ "$waited" -lt 15 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    if kill "$broker" 2>/dev/null; then
        wait "$broker" || true
        break
    fi
    # Its port was taken. What a broker loads that cannot start is of no use, and without it others only start more slowly.
    rm -f "$folder/broker.jsa"
done
rm -rf "$folder/first"
echo "$wanted" >"$folder/complete"
