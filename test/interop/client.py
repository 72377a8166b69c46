"""Confluent's Python client against the embedded parts: Avro, the registry, groups and transactions."""

import json
import re
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, registry_url = sys.argv[1:3]
PREFIX = "org.chicago.cta."
registry = SchemaRegistryClient({"url": registry_url})
run = str(time.time_ns())


def read(topics, enough, seconds=20, **options):
    """Reads topics from their beginning until enough(messages) or the time is over."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "interop-" + run + "-" + str(abs(hash(tuple(topics)))),
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 500,
            **options,
        }
    )
    consumer.subscribe(topics)
    got, end = [], time.time() + seconds
    while time.time() < end and not enough(got):
        for m in consumer.consume(500, 0.5):
            if m.error():
                assert m.error().code() == KafkaError._PARTITION_EOF, m.error()
            else:
                got.append(m)
    consumer.close()
    return got


def ok(what):
    print("ok    " + what, flush=True)


# The assignment's own consumers: every arrivals topic by a regular expression, from the beginning.
avro = AvroDeserializer(registry)
arrivals = read(["^" + re.escape(PREFIX) + "station.arrivals."], lambda got: len(got) >= 300)
assert len(arrivals) >= 300, f"{len(arrivals)} arrivals"
for m in arrivals:
    value = avro(m.value(), SerializationContext(m.topic(), MessageField.VALUE))
    key = avro(m.key(), SerializationContext(m.topic(), MessageField.KEY))
    assert set(value) == {"station_id", "train_id", "direction", "line", "train_status", "prev_station_id", "prev_direction"}, value
    assert key["station_id"] == value["station_id"], (key, value)
    assert value["direction"] in "ab" and re.fullmatch(r"[A-Z]{2}\d{3}", value["train_id"]), value
ok(f"{len(arrivals)} arrivals of {len({m.topic() for m in arrivals})} topics by regular expression, Avro key and value")

admin = AdminClient({"bootstrap.servers": brokers})
turnstiles = [t for t in admin.list_topics(timeout=10).topics if t.startswith(PREFIX + "station.turnstiles.")]
assert len(turnstiles) == 144, turnstiles
entries = read(turnstiles, lambda got: len(got) >= 1000, **{"group.protocol": "consumer"})
assert len(entries) >= 1000, f"{len(entries)} entries"
for m in entries[:200]:
    value = avro(m.value(), SerializationContext(m.topic(), MessageField.VALUE))
    assert set(value) == {"station_id", "station_name", "line"}, value
ok(f"{len(entries)} turnstile entries through the new group protocol (KIP-848)")

rows = read([PREFIX + "stations.table.v1"], lambda got: len(got) >= 191)
table = {(r["line"], r["station_id"]): r for r in (json.loads(m.value()) for m in rows if m.value())}
assert {"station_id", "station_name", "order", "line"} <= set(next(iter(table.values())))
ok(f"{len(table)} rows of the stations table as JSON")

totals = {}
for m in read(["TURNSTILE_SUMMARY"], lambda got: len({m.key() for m in got}) >= 100):
    row = json.loads(m.value())
    assert m.key().decode() == str(row["STATION_ID"]), (m.key(), row)
    totals[row["STATION_ID"]] = row["COUNT"]
assert len(totals) >= 100 and all(n > 0 for n in totals.values())
ok(f"TURNSTILE_SUMMARY of {len(totals)} stations, {sum(totals.values())} entries")

weather = read([PREFIX + "weather.v1"], lambda got: len(got) >= 1)
value = avro(weather[-1].value(), SerializationContext(weather[-1].topic(), MessageField.VALUE))
assert set(value) == {"temperature", "status"} and value["status"] in {"sunny", "partly_cloudy", "cloudy", "windy", "precipitation"}, value
ok(f"weather through the REST Proxy: {value}")

# Writing: a topic, a schema, a transaction, and one that is aborted.
topic = "interop-" + run
for f in admin.create_topics([NewTopic(topic, 3, 1)]).values():
    f.result(10)
schema = '{"type":"record","name":"note","namespace":"interop","fields":[{"name":"text","type":"string"}]}'
serialize = AvroSerializer(registry, schema)
producer = Producer({"bootstrap.servers": brokers, "transactional.id": topic, "compression.type": "gzip"})
producer.init_transactions(10)
for text, commit in (("committed", True), ("aborted", False)):
    producer.begin_transaction()
    for i in range(100):
        producer.produce(topic, key=str(i), value=serialize({"text": text}, SerializationContext(topic, MessageField.VALUE)))
    producer.flush(10)
    producer.commit_transaction(10) if commit else producer.abort_transaction(10)
back = read([topic], lambda got: len(got) >= 101, seconds=4, **{"isolation.level": "read_committed"})
texts = {avro(m.value(), SerializationContext(topic, MessageField.VALUE))["text"] for m in back}
assert len(back) == 100 and texts == {"committed"}, (len(back), texts)
ok("a transaction is seen, an aborted one is not")
