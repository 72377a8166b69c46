package bench;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What the trains contestant remembers, and how it stands in a store. */
final class State {
  private State() {}

  static final class Train {
    String id;
    String line;
    String pattern;
    int call;
    int station;
    String direction;
    String status;
    long arrivedAt;
    long seen;
    long departAt;
    long dueAt;
    long tripAt;
    long tripMs;
    long late;
    int nextCall = -1;
    int delayS;
    String topic = "";
    int partition;
    long offset;
    long appended;
    boolean untold = true;

    void write(DataOutputStream o) throws IOException {
      o.writeUTF(id);
      o.writeUTF(line);
      o.writeUTF(pattern);
      o.writeInt(call);
      o.writeInt(station);
      o.writeUTF(direction);
      o.writeUTF(status);
      for (long v : new long[] {arrivedAt, seen, departAt, dueAt, tripAt, tripMs, late}) {
        o.writeLong(v);
      }
      o.writeInt(nextCall);
      o.writeInt(delayS);
      o.writeUTF(topic);
      o.writeInt(partition);
      o.writeLong(offset);
      o.writeLong(appended);
    }

    static Train read(DataInputStream i) throws IOException {
      Train t = new Train();
      t.id = i.readUTF();
      t.line = i.readUTF();
      t.pattern = i.readUTF();
      t.call = i.readInt();
      t.station = i.readInt();
      t.direction = i.readUTF();
      t.status = i.readUTF();
      t.arrivedAt = i.readLong();
      t.seen = i.readLong();
      t.departAt = i.readLong();
      t.dueAt = i.readLong();
      t.tripAt = i.readLong();
      t.tripMs = i.readLong();
      t.late = i.readLong();
      t.nextCall = i.readInt();
      t.delayS = i.readInt();
      t.topic = i.readUTF();
      t.partition = i.readInt();
      t.offset = i.readLong();
      t.appended = i.readLong();
      return t;
    }
  }

  /** How long a leg takes, from arrival to arrival: a running mean. */
  static final class Leg {
    int n;
    double mean;
    double dev;

    void learn(double ms, double prior) {
      if (n == 0) {
        mean = prior;
        dev = prior / 4;
      }
      double off = ms - mean;
      if (n >= 4) {
        double limit = Math.max(3 * dev, 10_000);
        off = Math.max(-limit, Math.min(limit, off));
      }
      n = Math.min(n + 1, 12);
      double weight = 1 / (n + 0.5);
      mean += weight * off;
      dev += weight * (Math.abs(off) - dev);
    }

    void write(DataOutputStream o) throws IOException {
      o.writeInt(n);
      o.writeDouble(mean);
      o.writeDouble(dev);
    }

    static Leg read(DataInputStream i) throws IOException {
      Leg l = new Leg();
      l.n = i.readInt();
      l.mean = i.readDouble();
      l.dev = i.readDouble();
      return l;
    }
  }

  /** One line as a whole: its time, and the newest gaps between trains in each direction. */
  static final class Line {
    static final int GAPS = 32;
    long now;
    long evaluated;
    long late;
    int trains;
    String status = "no_service";
    final long[][] gapAt = new long[2][GAPS];
    final int[][] gap = new int[2][GAPS];
    final int[] next = new int[2];
    final int[] observed = new int[2];
    boolean untold = true;

    void write(DataOutputStream o) throws IOException {
      o.writeLong(now);
      o.writeLong(evaluated);
      o.writeLong(late);
      o.writeInt(trains);
      o.writeUTF(status);
      for (int d = 0; d < 2; d++) {
        for (int i = 0; i < GAPS; i++) {
          o.writeLong(gapAt[d][i]);
          o.writeInt(gap[d][i]);
        }
        o.writeInt(next[d]);
        o.writeInt(observed[d]);
      }
    }

    static Line read(DataInputStream i) throws IOException {
      Line l = new Line();
      l.now = i.readLong();
      l.evaluated = i.readLong();
      l.late = i.readLong();
      l.trains = i.readInt();
      l.status = i.readUTF();
      for (int d = 0; d < 2; d++) {
        for (int n = 0; n < GAPS; n++) {
          l.gapAt[d][n] = i.readLong();
          l.gap[d][n] = i.readInt();
        }
        l.next[d] = i.readInt();
        l.observed[d] = i.readInt();
      }
      return l;
    }
  }

  /** The newest train at a site. */
  static final class Visit {
    long at;
    String train = "";

    void write(DataOutputStream o) throws IOException {
      o.writeLong(at);
      o.writeUTF(train);
    }

    static Visit read(DataInputStream i) throws IOException {
      Visit v = new Visit();
      v.at = i.readLong();
      v.train = i.readUTF();
      return v;
    }
  }

  interface Writer<T> {
    void write(T v, DataOutputStream o) throws IOException;
  }

  interface Reader<T> {
    T read(DataInputStream i) throws IOException;
  }

  static <T> Serde<T> serde(Writer<T> w, Reader<T> r) {
    return Serdes.serdeFrom((topic, v) -> {
      if (v == null) {
        return null;
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream(256);
      try {
        w.write(v, new DataOutputStream(out));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return out.toByteArray();
    }, (topic, b) -> {
      try {
        return b == null ? null : r.read(new DataInputStream(new ByteArrayInputStream(b)));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    });
  }
}
