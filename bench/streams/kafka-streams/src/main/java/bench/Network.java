package bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Where the patterns of trips call, from the file that the runner writes. */
final class Network {
  static final class Call {
    String pattern;
    String line;
    int index;
    int station;
    String direction;
    long runMs; // from leaving here to arriving at the next call
    boolean turn; // the train turns back here
    Call next;
    String leg; // the key under which the time to the next call is learned
  }

  private final Map<String, List<Call>> byPattern = new HashMap<>();
  private final Map<String, List<Call>> bySite = new HashMap<>();

  Network(String file) {
    try {
      for (JsonNode p : new ObjectMapper().readTree(new File(file))) {
        add(p);
      }
    } catch (IOException e) {
      throw new IllegalStateException("read the network from " + file, e);
    }
  }

  private void add(JsonNode p) {
    List<Call> calls = new ArrayList<>();
    for (JsonNode n : p.get("calls")) {
      Call c = new Call();
      c.pattern = p.get("id").asText();
      c.line = p.get("line").asText();
      c.index = calls.size();
      c.station = n.get("station").asInt();
      c.direction = n.get("direction").asText();
      c.runMs = n.get("run_ms").asLong();
      c.turn = n.get("turn").asBoolean();
      calls.add(c);
      bySite.computeIfAbsent(site(c.line, c.station, c.direction), k -> new ArrayList<>()).add(c);
    }
    for (Call c : calls) {
      c.next = calls.get((c.index + 1) % calls.size());
      c.leg = c.line + "/" + c.station + c.direction + "/" + c.next.station + c.next.direction;
    }
    byPattern.put(p.get("id").asText(), calls);
  }

  static String site(String line, int station, String direction) {
    return line + "/" + station + direction;
  }

  /** The call at a site, on the pattern of the train's sign if there is one; null if the line does not call there. */
  Call find(String line, int station, String direction, String pattern) {
    List<Call> there = bySite.get(site(line, station, direction));
    if (there == null) {
      return null;
    }
    for (Call c : there) {
      if (c.pattern.equals(pattern)) {
        return c;
      }
    }
    return there.get(0);
  }

  Call call(String pattern, int index) {
    return byPattern.get(pattern).get(index);
  }
}
