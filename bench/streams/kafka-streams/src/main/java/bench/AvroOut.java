package bench;

import bench.State.Line;
import bench.State.Train;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes the outputs of the trains contestant as Avro in Confluent framing, by hand, with the ids of Ell's own schemas. */
final class AvroOut {
  private final int trainKey = Registry.latest("org.chicago.cta.train_key");
  private final int trainValue = Registry.latest("org.chicago.cta.train_value");
  private final int lineKey = Registry.latest("org.chicago.cta.line_key");
  private final int lineValue = Registry.latest("org.chicago.cta.line_value");
  private byte[] b = new byte[1024];
  private int n;

  byte[] trainKey(String id) {
    return begin(trainKey).text(id).end();
  }

  byte[] lineKey(String line) {
    return begin(lineKey).text(line).end();
  }

  byte[] train(Train t) {
    return begin(trainValue).text(t.id).text(t.line).text(t.pattern).number(t.call).number(t.station).text(t.direction)
        .text(t.status).number(t.arrivedAt).number(t.departAt).number(t.nextCall).number(t.dueAt).number(t.delayS)
        .number(t.late).text(t.topic).number(t.partition).number(t.offset).number(t.appended).end();
  }

  byte[] line(String id, Line l) {
    begin(lineValue).text(id).text(l.status).text("").number(l.trains).number(2);
    for (int d = 0; d < 2; d++) {
      text(d == 0 ? "a" : "b").number(l.observed[d]).number(0);
    }
    return number(0).number(l.evaluated).number(l.late).text("").number(0).number(0).number(0).end();
  }

  private AvroOut begin(int schema) {
    b[0] = 0;
    for (int i = 0; i < 4; i++) {
      b[1 + i] = (byte) (schema >>> 24 - 8 * i);
    }
    n = 5;
    return this;
  }

  private AvroOut number(long v) {
    room(10);
    long u = v << 1 ^ v >> 63;
    while ((u & ~0x7fL) != 0) {
      b[n++] = (byte) (u | 0x80);
      u >>>= 7;
    }
    b[n++] = (byte) u;
    return this;
  }

  private AvroOut text(String s) {
    byte[] t = s.getBytes(StandardCharsets.UTF_8);
    number(t.length);
    room(t.length);
    System.arraycopy(t, 0, b, n, t.length);
    n += t.length;
    return this;
  }

  private void room(int more) {
    if (b.length - n < more) {
      b = Arrays.copyOf(b, 2 * b.length + more);
    }
  }

  private byte[] end() {
    return Arrays.copyOf(b, n);
  }
}
