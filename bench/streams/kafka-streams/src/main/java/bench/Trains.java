package bench;

import bench.State.Leg;
import bench.State.Line;
import bench.State.Train;
import bench.State.Visit;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * Train positions, predicted arrivals and line status, exactly once, with the Processor API: one task owns all of a line, and
 * where BY_LINE names a topic, arrivals are brought together by line there first. The argument is the form of the state:
 * rocksdb, memory or fastest.
 */
public final class Trains {
  private Trains() {}

  public static void main(String[] args) throws InterruptedException {
    Deserializer<byte[]> in = Serdes.ByteArray().deserializer();
    Serializer<byte[]> out = Serdes.ByteArray().serializer();
    String byLine = System.getenv("BY_LINE");
    Network network = new Network(Settings.env("NETWORK"));
    Topology t = new Topology().addSource("arrivals", in, in, Pattern.compile(Settings.env("INPUT")));
    String lines = "arrivals";
    if (byLine != null && !byLine.isEmpty()) {
      StreamPartitioner<byte[], byte[]> partitions = new ByLine();
      t.addProcessor("forward", Forward::new, "arrivals")
          .addSink("by-line-out", byLine, out, out, partitions, "forward")
          .addSource("by-line", in, in, byLine);
      lines = "by-line";
    }
    t.addProcessor("lines", () -> new Lines(network, new AvroOut()), lines)
        .addStateStore(Stored.builder(args[0], "trains", State.serde(Train::write, Train::read)), "lines")
        .addStateStore(Stored.builder(args[0], "legs", State.serde(Leg::write, Leg::read)), "lines")
        .addStateStore(Stored.builder(args[0], "lines", State.serde(Line::write, Line::read)), "lines")
        .addStateStore(Stored.builder(args[0], "visits", State.serde(Visit::write, Visit::read)), "lines")
        .addSink("trains-out", Settings.env("OUTPUT"), out, out, "lines")
        .addSink("lines-out", Settings.env("OUTPUT") + ".lines", out, out, "lines");
    Settings.run(t, Settings.streams());
  }

  /** Says where an arrival came from, in a header, and sends it on as it is. */
  private static final class Forward implements Processor<byte[], byte[], byte[], byte[]> {
    private ProcessorContext<byte[], byte[]> context;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
    }

    @Override
    public void process(Record<byte[], byte[]> r) {
      RecordMetadata m = context.recordMetadata().orElseThrow();
      String source = m.topic() + " " + m.partition() + " " + m.offset() + " " + r.timestamp();
      r.headers().add("source", source.getBytes(StandardCharsets.UTF_8));
      context.forward(r);
    }
  }

  /** Partitions by line as Ell does: the eight lines evenly, so that nobody has a busier partition. */
  private static final class ByLine implements StreamPartitioner<byte[], byte[]> {
    private static final Map<String, Integer> LINES = Map.of(
        "red", 0, "blue", 1, "brown", 2, "green", 3, "orange", 4, "pink", 5, "purple", 6, "yellow", 7);
    private final Cursor cursor = new Cursor();

    @Override
    public Optional<Set<Integer>> partitions(String topic, byte[] key, byte[] value, int n) {
      Cursor c = cursor.open(value);
      c.number();
      c.skipText();
      c.skipText();
      String line = c.text();
      Integer p = LINES.get(line);
      return Optional.of(Set.of(p != null ? p : Utils.toPositive(Utils.murmur2(line.getBytes(StandardCharsets.UTF_8))) % n));
    }
  }
}
