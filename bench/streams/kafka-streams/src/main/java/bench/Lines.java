package bench;

import bench.State.Leg;
import bench.State.Line;
import bench.State.Train;
import bench.State.Visit;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * Where each train of a line is, when it is due next, and how the line runs. It does less than Ell's stage: a train's
 * arrivals are not put back in order, turning back at a terminal follows no timetable, and a line's status is one of three
 * words without a reason.
 */
final class Lines implements Processor<byte[], byte[], byte[], byte[]> {
  private static final long DWELL_MS = 20_000;
  private static final long EVALUATE_MS = 30_000;
  private static final long SILENT_MS = 60 * 60_000;
  private static final long OUT_MS = 5 * 60_000;
  private static final long GAP_MEMORY_MS = 45 * 60_000;
  private static final long GAP_LONGEST_MS = 3 * 60 * 60_000;
  private static final long LEG_LONGEST_MS = 60 * 60_000;

  private final Network network;
  private final AvroOut out;
  private final Set<String> changedTrains = new HashSet<>();
  private final Set<String> changedLines = new HashSet<>();
  private final Cursor cursor = new Cursor();
  private ProcessorContext<byte[], byte[]> context;
  private Stored<Train> trains;
  private Stored<Leg> legs;
  private Stored<Line> lines;
  private Stored<Visit> visits;

  Lines(Network network, AvroOut out) {
    this.network = network;
    this.out = out;
  }

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
    trains = Stored.of(context, "trains");
    legs = Stored.of(context, "legs");
    lines = Stored.of(context, "lines");
    visits = Stored.of(context, "visits");
    trains.forEach((id, t) -> changedTrains.add(id)); // may not have been told before a crash
    lines.forEach((id, l) -> changedLines.add(id));
    context.schedule(Duration.ofMillis(Settings.COMMIT_MS), PunctuationType.WALL_CLOCK_TIME, this::tell);
  }

  @Override
  public void process(Record<byte[], byte[]> r) {
    Cursor c = cursor.open(r.key());
    int of = (int) c.number();
    long at = c.number();
    c.end();
    c.open(r.value());
    int station = (int) c.number();
    String id = c.text();
    String direction = c.text();
    String line = c.text();
    String status = c.text();
    if (c.number() == 1) {
      c.number();
    }
    if (c.number() == 1) {
      c.skipText();
    }
    c.end();
    if (of != station) {
      throw new IllegalStateException("key and value speak of different stations");
    }
    Network.Call call = network.find(line, station, direction, text(r, "pattern"));
    if (call == null) {
      throw new IllegalStateException("the " + line + " line does not call at " + station + direction);
    }
    Train known = trains.get(id);
    boolean late = known != null && at < known.seen;
    lines.change(line, k -> new Line(), l -> {
      boolean old = known == null && at < l.now - SILENT_MS;
      if (late || old) {
        l.late++;
        return;
      }
      l.now = Math.max(l.now, at);
      take(r, l, known, id, call, at, status);
      if (l.now >= l.evaluated + EVALUATE_MS) {
        evaluate(line, l);
      }
    });
    if (late) {
      trains.change(id, k -> known, t -> t.late++);
      changedTrains.add(id);
    }
  }

  /** Takes an arrival that is not late. */
  private void take(Record<byte[], byte[]> r, Line l, Train known, String id, Network.Call call, long at, String status) {
    boolean again = known != null && known.station == call.station && known.direction.equals(call.direction);
    boolean oneLeg = known != null && !again && known.pattern.equals(call.pattern)
        && network.call(known.pattern, known.call).next == call;
    if (oneLeg && known.status.equals("in_service") && status.equals("in_service")) {
      Network.Call from = network.call(known.pattern, known.call);
      long ms = at - known.arrivedAt;
      if (ms > 0 && ms <= LEG_LONGEST_MS) {
        legs.change(from.leg, k -> new Leg(), leg -> leg.learn(ms, from.runMs + DWELL_MS));
      }
    }
    if (!again && status.equals("in_service")) {
      visit(l, call, id, at);
    }
    trains.change(id, k -> new Train(), t -> {
      boolean goesOn = oneLeg && !network.call(t.pattern, t.call).turn;
      if (goesOn) {
        t.tripMs += network.call(t.pattern, t.call).runMs + DWELL_MS;
      } else if (!again) {
        t.tripAt = at;
        t.tripMs = 0;
      }
      t.id = id;
      t.line = call.line;
      t.pattern = call.pattern;
      t.call = call.index;
      t.station = call.station;
      t.direction = call.direction;
      t.status = status;
      t.arrivedAt = again ? t.arrivedAt : at;
      t.seen = at;
      predict(t, call);
      source(t, r);
    });
    changedTrains.add(id);
  }

  private void visit(Line l, Network.Call call, String id, long at) {
    visits.change(Network.site(call.line, call.station, call.direction), k -> new Visit(), v -> {
      if (v.at >= at) {
        return;
      }
      long gap = at - v.at;
      if (v.at != 0 && gap <= GAP_LONGEST_MS && !v.train.equals(id)) {
        int d = call.direction.equals("a") ? 0 : 1;
        l.gapAt[d][l.next[d]] = at;
        l.gap[d][l.next[d]] = (int) (gap / 1000);
        l.next[d] = (l.next[d] + 1) % Line.GAPS;
      }
      v.at = at;
      v.train = id;
    });
  }

  /** When the train leaves, and when it comes to its next call. */
  private void predict(Train t, Network.Call call) {
    t.delayS = (int) ((t.arrivedAt - t.tripAt - t.tripMs) / 1000);
    if (!t.status.equals("in_service")) {
      t.nextCall = -1;
      t.departAt = t.arrivedAt;
      t.dueAt = 0;
      return;
    }
    Leg leg = legs.get(call.leg);
    long total = leg != null ? (long) leg.mean : call.turn ? 4 * 60_000 : call.runMs + DWELL_MS;
    long stand = call.turn ? total : Math.min(total / 2, Math.max(10_000, Math.min(45_000, total - call.runMs)));
    t.nextCall = call.next.index;
    t.departAt = t.arrivedAt + stand;
    t.dueAt = t.arrivedAt + total;
  }

  /** Looks at a line as a whole: forgets trains that are gone, and finds the word for how it runs. */
  private void evaluate(String line, Line l) {
    l.evaluated = l.now;
    List<String> gone = new ArrayList<>();
    int[] seen = new int[2]; // in service, late
    trains.forEach((id, t) -> {
      if (!t.line.equals(line)) {
        return;
      }
      if (l.now >= Math.max(t.seen, t.dueAt) + SILENT_MS || t.status.equals("out_of_service") && l.now >= t.seen + OUT_MS) {
        gone.add(id);
      } else if (t.status.equals("in_service")) {
        seen[0]++;
        seen[1] += t.delayS >= 300 ? 1 : 0;
      }
    });
    for (String id : gone) {
      trains.remove(id);
      changedTrains.add(id);
    }
    int a = median(l, 0);
    int b = median(l, 1);
    String word = seen[0] == 0 ? "no_service" : seen[1] >= 2 && 10 * seen[1] >= seen[0] ? "delays" : "good_service";
    if (a != l.observed[0] || b != l.observed[1] || seen[0] != l.trains || !word.equals(l.status)) {
      l.observed[0] = a;
      l.observed[1] = b;
      l.trains = seen[0];
      l.status = word;
      changedLines.add(line);
    }
  }

  private static int median(Line l, int d) {
    int[] v = new int[Line.GAPS];
    int n = 0;
    for (int i = 0; i < Line.GAPS; i++) {
      if (l.gapAt[d][i] != 0 && l.gapAt[d][i] >= l.now - GAP_MEMORY_MS) {
        v[n++] = l.gap[d][i];
      }
    }
    Arrays.sort(v, 0, n);
    return n < 3 ? 0 : v[n / 2];
  }

  private void tell(long now) {
    for (String id : changedTrains) {
      Train t = trains.get(id);
      context.forward(new Record<>(out.trainKey(id), t == null ? null : out.train(t), now), "trains-out");
    }
    changedTrains.clear();
    for (String line : changedLines) {
      context.forward(new Record<>(out.lineKey(line), out.line(line, lines.get(line)), now), "lines-out");
    }
    changedLines.clear();
  }

  private static String text(Record<byte[], byte[]> r, String header) {
    Header h = r.headers().lastHeader(header);
    return h == null ? "" : new String(h.value(), StandardCharsets.UTF_8);
  }

  /** Says which record told of the train: what was brought here says "topic partition offset appended" of where it was. */
  private void source(Train t, Record<byte[], byte[]> r) {
    String text = text(r, "source");
    if (text.isEmpty()) {
      RecordMetadata m = context.recordMetadata().orElseThrow();
      t.topic = m.topic();
      t.partition = m.partition();
      t.offset = m.offset();
      t.appended = r.timestamp();
      return;
    }
    String[] f = text.split(" ");
    t.topic = f[0];
    t.partition = Integer.parseInt(f[1]);
    t.offset = Long.parseLong(f[2]);
    t.appended = Long.parseLong(f[3]);
  }
}
