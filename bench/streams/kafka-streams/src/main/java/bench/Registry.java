package bench;

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
  private final HttpClient http = HttpClient.newHttpClient();

  Schema schema(int id) {
    Schema s = known.get(id);
    if (s == null) {
      s = fetch(id);
      known.put(id, s);
    }
    return s;
  }

  private Schema fetch(int id) {
    try {
      HttpRequest r = HttpRequest.newBuilder(URI.create(Settings.env("REGISTRY") + "/schemas/ids/" + id)).build();
      HttpResponse<String> answer = http.send(r, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        throw new IllegalStateException("schema id " + id + ": the registry answers " + answer.statusCode());
      }
      String text = new com.fasterxml.jackson.databind.ObjectMapper().readTree(answer.body()).get("schema").asText();
      return new Schema.Parser().parse(text);
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException("fetch schema id " + id, e);
    }
  }
}
