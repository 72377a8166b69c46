package bench;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Counts turnstile entries per station, exactly once. The argument is the form: dsl, rocksdb, memory or fastest; with
 * "-each", a total is told with every entry, so that nothing has to be told again after a crash.
 */
public final class Totals {
  private static final String STORE = "totals";

  private Totals() {}

  public static void main(String[] args) throws InterruptedException {
    Topology t = switch (args[0]) {
      case "dsl" -> dsl();
      case "rocksdb" -> processor(Stores.persistentKeyValueStore(STORE), Counter::new);
      case "memory" -> processor(Stores.inMemoryKeyValueStore(STORE), Counter::new);
      case "rocksdb-each" -> processor(Stores.persistentKeyValueStore(STORE), EachCounter::new);
      case "memory-each" -> processor(Stores.inMemoryKeyValueStore(STORE), EachCounter::new);
      case "fastest" -> fastest();
      default -> throw new IllegalArgumentException("unknown form " + args[0]);
    };
    Settings.run(t, Settings.streams());
  }

  static String json(int station, long count) {
    return "{\"STATION_ID\":" + station + ",\"COUNT\":" + count + "}";
  }

  /** As one writes it first: the key holds a time, so that grouping by station goes through a repartition topic. */
  private static Topology dsl() {
    StreamsBuilder b = new StreamsBuilder();
    AvroSerde values = new AvroSerde();
    b.stream(Settings.env("INPUT"), Consumed.with(new AvroSerde(), values))
        .groupBy((k, v) -> (Integer) v.get("station_id"), Grouped.with(Serdes.Integer(), values))
        .count(Materialized.<Integer, Long, KeyValueStore<Bytes, byte[]>>as(STORE).withKeySerde(Serdes.Integer()))
        .toStream()
        .map((station, n) -> KeyValue.pair(Integer.toString(station), json(station, n)))
        .to(Settings.env("OUTPUT"), Produced.with(Serdes.String(), Serdes.String()));
    return b.build(Settings.streams());
  }

  /** With the Processor API, which may count in place: the input is partitioned by station already. */
  private static Topology processor(KeyValueBytesStoreSupplier supplier,
      ProcessorSupplier<GenericRecord, GenericRecord, String, String> counter) {
    StoreBuilder<KeyValueStore<Integer, Long>> store =
        Stores.keyValueStoreBuilder(supplier, Serdes.Integer(), Serdes.Long()).withCachingEnabled();
    return new Topology()
        .addSource("in", new AvroSerde().deserializer(), new AvroSerde().deserializer(), Settings.env("INPUT"))
        .addProcessor("count", counter, "in")
        .addStateStore(store, "count")
        .addSink("out", Settings.env("OUTPUT"), Serdes.String().serializer(), Serdes.String().serializer(), "count");
  }

  private static final class Counter implements Processor<GenericRecord, GenericRecord, String, String> {
    private final Set<Integer> changed = new HashSet<>();
    private KeyValueStore<Integer, Long> counts;
    private ProcessorContext<String, String> context;

    @Override
    public void init(ProcessorContext<String, String> context) {
      this.context = context;
      counts = context.getStateStore(STORE);
      try (KeyValueIterator<Integer, Long> all = counts.all()) {
        all.forEachRemaining(kv -> changed.add(kv.key)); // may have been counted and not told before a crash
      }
      context.schedule(Duration.ofMillis(Settings.COMMIT_MS), PunctuationType.WALL_CLOCK_TIME, this::tell);
    }

    @Override
    public void process(Record<GenericRecord, GenericRecord> r) {
      Integer station = (Integer) r.value().get("station_id");
      if (!station.equals(r.key().get("station_id"))) {
        throw new IllegalStateException("key and value speak of different stations");
      }
      Long n = counts.get(station);
      counts.put(station, n == null ? 1L : n + 1);
      changed.add(station);
    }

    private void tell(long now) {
      for (Integer s : changed) {
        context.forward(new Record<>(Integer.toString(s), json(s, counts.get(s)), now));
      }
      changed.clear();
    }
  }

  private static final class EachCounter implements Processor<GenericRecord, GenericRecord, String, String> {
    private KeyValueStore<Integer, Long> counts;
    private ProcessorContext<String, String> context;

    @Override
    public void init(ProcessorContext<String, String> context) {
      this.context = context;
      counts = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<GenericRecord, GenericRecord> r) {
      Integer station = (Integer) r.value().get("station_id");
      Long before = counts.get(station);
      long n = before == null ? 1 : before + 1;
      counts.put(station, n);
      context.forward(new Record<>(Integer.toString(station), json(station, n), r.timestamp()));
    }
  }

  /** Bytes in, decoded by hand, counted in place; state reaches the changelog at commit only. */
  private static Topology fastest() {
    return new Topology()
        .addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), Settings.env("INPUT"))
        .addProcessor("count", FastCounter::new, "in")
        .addStateStore(Table.builder(STORE, Serdes.Integer(), Count.SERDE), "count")
        .addSink("out", Settings.env("OUTPUT"), Serdes.String().serializer(), Serdes.String().serializer(), "count");
  }

  private static final class Count {
    static final Serde<Count> SERDE = Serdes.serdeFrom(
        (topic, c) -> c == null ? null : ByteBuffer.allocate(8).putLong(c.n).array(),
        (topic, b) -> {
          Count c = new Count();
          c.n = ByteBuffer.wrap(b).getLong();
          return c;
        });
    long n;
    boolean untold = true; // after a restart too: it may have been counted and not told before
  }

  private static final class FastCounter implements Processor<byte[], byte[], String, String> {
    private final Cursor cursor = new Cursor();
    private Table<Integer, Count> counts;
    private ProcessorContext<String, String> context;

    @Override
    public void init(ProcessorContext<String, String> context) {
      this.context = context;
      counts = context.getStateStore(STORE);
      counts.load();
      context.schedule(Duration.ofMillis(Settings.COMMIT_MS), PunctuationType.WALL_CLOCK_TIME, this::tell);
    }

    @Override
    public void process(Record<byte[], byte[]> r) {
      Cursor c = cursor.open(r.key());
      int of = (int) c.number();
      c.number(); // the time
      c.end();
      c.open(r.value());
      int station = (int) c.number();
      c.skipText();
      c.skipText();
      c.end();
      if (of != station) {
        throw new IllegalStateException("key and value speak of different stations");
      }
      Count n = counts.edit(station, k -> new Count());
      n.n++;
      n.untold = true;
    }

    private void tell(long now) {
      counts.forEach((s, c) -> {
        if (c.untold) {
          c.untold = false;
          context.forward(new Record<>(Integer.toString(s), json(s, c.n), now));
        }
      });
    }
  }
}
