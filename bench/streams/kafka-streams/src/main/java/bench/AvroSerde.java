package bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/**
 * Generic Avro records in Confluent framing, as Confluent's own GenericAvroSerde (which is not on Maven Central) reads and
 * writes them: readers, decoders and encoders are kept, only the records are new each time. A record is written with the id
 * its schema was last read with.
 */
final class AvroSerde implements Serde<GenericRecord> {
  private final Map<Schema, Integer> ids = new HashMap<>();

  @Override
  public Deserializer<GenericRecord> deserializer() {
    Registry registry = new Registry();
    Map<Integer, GenericDatumReader<GenericRecord>> readers = new HashMap<>();
    BinaryDecoder[] kept = new BinaryDecoder[1];
    return (topic, data) -> {
      if (data == null) {
        return null;
      }
      int id = ByteBuffer.wrap(data, 1, 4).getInt();
      GenericDatumReader<GenericRecord> reader = readers.computeIfAbsent(id, i -> {
        Schema s = registry.schema(i);
        ids.put(s, i);
        return new GenericDatumReader<>(s);
      });
      try {
        kept[0] = DecoderFactory.get().binaryDecoder(data, 5, data.length - 5, kept[0]);
        return reader.read(null, kept[0]);
      } catch (IOException e) {
        throw new IllegalStateException("decode a record of " + topic, e);
      }
    };
  }

  @Override
  public Serializer<GenericRecord> serializer() {
    Map<Schema, GenericDatumWriter<GenericRecord>> writers = new HashMap<>();
    BinaryEncoder[] kept = new BinaryEncoder[1];
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    return (topic, record) -> {
      if (record == null) {
        return null;
      }
      try {
        out.reset();
        out.write(0);
        out.write(ByteBuffer.allocate(4).putInt(ids.get(record.getSchema())).array());
        kept[0] = EncoderFactory.get().binaryEncoder(out, kept[0]);
        writers.computeIfAbsent(record.getSchema(), GenericDatumWriter::new).write(record, kept[0]);
        kept[0].flush();
        return out.toByteArray();
      } catch (IOException e) {
        throw new IllegalStateException("encode a record for " + topic, e);
      }
    };
  }
}
