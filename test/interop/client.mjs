// kafkajs against the embedded broker: reads totals in a group, writes and reads back.
import { Kafka, logLevel } from "kafkajs";

const kafka = new Kafka({ clientId: "interop", brokers: process.argv[2].split(","), logLevel: logLevel.ERROR });
const run = Date.now();

async function read(topic, enough) {
  const consumer = kafka.consumer({ groupId: `interop-js-${run}-${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const got = [];
  const timeout = Date.now() + 20_000;
  await consumer.run({ eachMessage: async ({ message }) => void got.push(message) });
  while (!enough(got) && Date.now() < timeout) await new Promise((r) => setTimeout(r, 50));
  await consumer.disconnect();
  if (!enough(got)) throw new Error(`${topic}: only ${got.length} messages`);
  return got;
}

const totals = await read("TURNSTILE_SUMMARY", (got) => got.length >= 50);
for (const m of totals) {
  const row = JSON.parse(m.value);
  if (String(row.STATION_ID) !== m.key.toString() || !(row.COUNT > 0)) throw new Error(`bad row ${m.value}`);
}
console.log(`ok    kafkajs reads ${totals.length} totals in a group`);

const topic = `interop-js-${run}`;
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
await admin.disconnect();
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await producer.connect();
await producer.send({ topic, messages: [{ key: "a", value: "1" }, { key: "b", value: "2" }] });
await producer.disconnect();
const back = await read(topic, (got) => got.length >= 2);
if (back.map((m) => m.value.toString()).sort().join() !== "1,2") throw new Error("read back something else");
console.log("ok    kafkajs writes with an idempotent producer and reads back");
