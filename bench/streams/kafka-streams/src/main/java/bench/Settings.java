package bench;

import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** What the runner says (in the environment), and how every Kafka Streams contestant is tuned. */
final class Settings {
  static final long COMMIT_MS = 100;

  private Settings() {}

  static String env(String name) {
    String v = System.getenv(name);
    if (v == null || v.isEmpty()) {
      throw new IllegalStateException("environment variable " + name + " is not set");
    }
    return v;
  }

  static Properties streams() {
    Properties p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, env("GROUP"));
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env("BROKERS"));
    p.put(StreamsConfig.STATE_DIR_CONFIG, env("DATA"));
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_MS);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1); // it has one core
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, -1); // no input waits for another's next record
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L << 20);
    p.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
    p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 20_000);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 2 << 20);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.RECEIVE_BUFFER_CONFIG), 1 << 20);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
    if (System.getenv("INSTANCE") != null) { // static membership, so that a restarted instance is waited for by nobody
      p.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), env("INSTANCE"));
    }
    p.put(StreamsConfig.restoreConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 50_000);
    return p;
  }

  /** Runs until the process is asked to end; any failure ends it with exit code 1. */
  static void run(Topology topology, Properties p) throws InterruptedException {
    CountDownLatch stop = new CountDownLatch(1);
    KafkaStreams streams = new KafkaStreams(topology, p);
    streams.setUncaughtExceptionHandler(e -> {
      e.printStackTrace();
      Runtime.getRuntime().halt(1);
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      streams.close();
      stop.countDown();
    }));
    streams.setGlobalStateRestoreListener(new Restored());
    streams.start();
    stop.await();
  }

  /** Says how long restoring took, from the first partition's beginning to the last one's end. */
  private static final class Restored implements StateRestoreListener {
    private long begun;
    private long records;
    private int open;

    @Override
    public synchronized void onRestoreStart(TopicPartition p, String store, long from, long to) {
      if (begun == 0) {
        begun = System.nanoTime();
      }
      open++;
    }

    @Override
    public void onBatchRestored(TopicPartition p, String store, long end, long n) {}

    @Override
    public synchronized void onRestoreEnd(TopicPartition p, String store, long n) {
      records += n;
      if (--open == 0) {
        System.out.printf("restored %d records in %d ms%n", records, (System.nanoTime() - begun) / 1_000_000);
      }
    }
  }
}
