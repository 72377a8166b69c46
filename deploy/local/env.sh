# Settings of the local stack; sourced by up, down and whoever wants its addresses. Each can be overridden from the environment.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${STACK_LIB:=$here/../../.cache/stack}"    # downloads: jars and archives, shared by every stack on this machine
: "${STACK_DATA:=$here/../../.cache/stack-data}" # logs, databases, pidfiles of one stack
: "${BROKERS:=1}"                             # 1, or 3 with replication 3
: "${PORT_BASE:=0}"                           # added to every port, for a second stack beside the first
: "${KAFKA_HEAP:=1g}" "${REGISTRY_HEAP:=256m}" "${CONNECT_HEAP:=512m}"
: "${STACK_JVM:=-XX:+UseG1GC}"               # further options of every JVM
: "${KAFKA_CPUS:=}"                           # pin the brokers to these cores (taskset -c), for benchmarks
: "${PROXIED:=}"                             # addresses of proxies before the brokers' third listeners, for tests of the network
POSTGRES_DB=cta POSTGRES_USER=cta_admin POSTGRES_PASSWORD=chicago
KAFKA_VERSION=4.3.1 APICURIO_VERSION=2.6.13.Final DEBEZIUM_VERSION=3.7.0.Final

mkdir -p "$STACK_LIB" "$STACK_DATA"
STACK_LIB=$(cd "$STACK_LIB" && pwd) STACK_DATA=$(cd "$STACK_DATA" && pwd)
kafka_port=$((9092 + PORT_BASE)) controller_port=$((9592 + PORT_BASE)) proxied_port=$((9692 + PORT_BASE))
registry_port=$((8081 + PORT_BASE)) connect_port=$((8083 + PORT_BASE)) postgres_port=$((5432 + PORT_BASE))
brokers="" voters=""
for i in $(seq "$BROKERS"); do
  brokers+=${brokers:+,}127.0.0.1:$((kafka_port + i - 1))
  voters+=${voters:+,}$i@127.0.0.1:$((controller_port + i - 1))
done
registry=http://127.0.0.1:$registry_port/apis/ccompat/v7
connect=http://127.0.0.1:$connect_port
postgres=postgres://$POSTGRES_USER@127.0.0.1:$postgres_port/$POSTGRES_DB

# alive NAME: the process of NAME's pidfile runs and is this stack's (a pid may have been used again).
alive() { [ -s "$STACK_DATA/run/$1.pid" ] && grep -qaF "$STACK_DATA" "/proc/$(<"$STACK_DATA/run/$1.pid")/cmdline" 2>/dev/null; }
# kafka_tool CLASS ARGS...: one of Kafka's command-line tools.
kafka_tool() { java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$STACK_LIB/kafka/*" -Dlog4j2.configurationFile="$here/conf/log4j2.properties" "$@"; }
# as_postgres: PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
pg_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }
