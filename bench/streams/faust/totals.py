"""Counts turnstile entries per station with Faust, at least once."""

import io
import json
import os
import urllib.request

import fastavro
import faust

COMMIT_EVERY = 0.1

app = faust.App(
    os.environ["GROUP"],
    broker="kafka://" + os.environ["BROKERS"],
    store="memory://",
    datadir=os.environ["DATA"],
    topic_partitions=12,
    topic_replication_factor=1,
    broker_commit_interval=COMMIT_EVERY,
    stream_buffer_maxsize=16384,
    stream_publish_on_commit=False,
    producer_linger=0.02,  # seconds
    consumer_max_fetch_size=2 << 20,
    topic_disable_leader=True,
)

schemas = {}


def schema(number):
    """The parsed schema of an id, fetched once."""
    if number not in schemas:
        with urllib.request.urlopen(f"{os.environ['REGISTRY']}/schemas/ids/{number}") as answer:
            schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return schemas[number]


class Framed(faust.Codec):
    """Avro in Confluent framing."""

    def _loads(self, s):
        if len(s) < 5 or s[0] != 0:
            raise ValueError("not in Confluent framing")
        return fastavro.schemaless_reader(io.BytesIO(s[5:]), schema(int.from_bytes(s[1:5], "big")))


faust.serializers.codecs.register("framed", Framed())

entries = app.topic(os.environ["INPUT"], key_serializer="framed", value_serializer="framed")
output = app.topic(os.environ["OUTPUT"], key_serializer="raw", value_serializer="raw")
totals = app.Table("totals", default=int, partitions=12)
changed = set()


@app.agent(entries)
async def count(stream):
    # The input is partitioned by station already: no group_by, which would go through a topic.
    async for entry in stream:
        station = entry["station_id"]
        totals[station] += 1
        changed.add(station)


@app.timer(interval=COMMIT_EVERY)
async def tell():
    stations = list(changed)
    changed.clear()
    for station in stations:
        text = json.dumps({"STATION_ID": station, "COUNT": totals[station]}, separators=(",", ":"))
        await output.send(key=str(station).encode(), value=text.encode())


if __name__ == "__main__":
    app.main()
