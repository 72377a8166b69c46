package bench;

/** Reads Avro's binary form by hand, for the fastest forms: nothing is allocated but what is asked for. */
final class Cursor {
  private byte[] b;
  private int at;

  Cursor open(byte[] framed) {
    if (framed.length < 5 || framed[0] != 0) {
      throw new IllegalStateException("not in Confluent framing");
    }
    b = framed;
    at = 5;
    return this;
  }

  long number() {
    long u = 0;
    for (int shift = 0; ; shift += 7) {
      byte x = b[at++];
      u |= (long) (x & 0x7f) << shift;
      if (x >= 0) {
        return (u >>> 1) ^ -(u & 1);
      }
    }
  }

  void skipText() {
    int n = (int) number();
    if (n < 0 || n > b.length - at) {
      throw new IllegalStateException("text longer than the record");
    }
    at += n;
  }

  String text() {
    int n = (int) number();
    String s = new String(b, at, n, java.nio.charset.StandardCharsets.UTF_8);
    at += n;
    return s;
  }

  void end() {
    if (at != b.length) {
      throw new IllegalStateException("bytes left over");
    }
  }
}
