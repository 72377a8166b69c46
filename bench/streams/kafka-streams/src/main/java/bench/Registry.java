package bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;

/** Fetches schemas by id from a registry with Confluent's API, each once. Not safe for concurrent use. */
final class Registry {
  private final Map<Integer, Schema> known = new HashMap<>();

  Schema schema(int id) {
    Schema s = known.get(id);
    if (s == null) {
      s = fetch(id);
      known.put(id, s);
    }
    return s;
  }

  private Schema fetch(int id) {
    return new Schema.Parser().parse(get("/schemas/ids/" + id).get("schema").asText());
  }

  /** The id of the newest schema of a subject. */
  static int latest(String subject) {
    return get("/subjects/" + subject + "/versions/latest").get("id").asInt();
  }

  private static JsonNode get(String path) {
    try {
      HttpRequest r = HttpRequest.newBuilder(URI.create(Settings.env("REGISTRY") + path)).build();
      HttpResponse<String> answer = HttpClient.newHttpClient().send(r, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        throw new IllegalStateException(path + ": the registry answers " + answer.statusCode());
      }
      return new ObjectMapper().readTree(answer.body());
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException("ask the registry for " + path, e);
    }
  }
}
