package bench;

import java.util.Arrays;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The fastest state one can give Kafka Streams with its public interfaces: counters in an open hash table of primitives,
 * written through to an ordinary store with a changelog when the task commits.
 */
final class Counts implements StateStore {
  private final KeyValueStore<Integer, Long> inner;
  private int[] keys = new int[1024];
  private long[] counts = new long[1024];
  private boolean[] unsaved = new boolean[1024];
  private boolean[] untold = new boolean[1024];
  private int used;

  Counts(KeyValueStore<Integer, Long> inner) {
    this.inner = inner;
  }

  void add(int key, long n) {
    int i = slot(key);
    counts[i] += n;
    unsaved[i] = true;
    untold[i] = true;
  }

  interface Teller {
    void tell(int key, long count);
  }

  /** Tells every count that changed since the last call; after a restart, every count. */
  void changed(Teller teller) {
    for (int i = 0; i < keys.length; i++) {
      if (untold[i]) {
        untold[i] = false;
        teller.tell(keys[i], counts[i]);
      }
    }
  }

  private int slot(int key) {
    int i = key * 0x9E3779B9 >>> 16 & keys.length - 1;
    while (keys[i] != key) {
      if (keys[i] == 0) {
        if (++used > keys.length / 2) {
          grow();
          used--;
          return slot(key);
        }
        keys[i] = key;
        return i;
      }
      i = i + 1 & keys.length - 1;
    }
    return i;
  }

  private void grow() {
    int[] k = keys;
    long[] c = counts;
    boolean[] s = unsaved;
    boolean[] t = untold;
    keys = new int[k.length * 2];
    counts = new long[k.length * 2];
    unsaved = new boolean[k.length * 2];
    untold = new boolean[k.length * 2];
    used = 0;
    for (int i = 0; i < k.length; i++) {
      if (k[i] != 0) {
        int j = slot(k[i]);
        counts[j] = c[i];
        unsaved[j] = s[i];
        untold[j] = t[i];
      }
    }
  }

  @Override
  public void flush() {
    for (int i = 0; i < keys.length; i++) {
      if (unsaved[i]) {
        unsaved[i] = false;
        inner.put(keys[i], counts[i]);
      }
    }
    inner.flush();
  }

  @Override
  public void commit(java.util.Map<org.apache.kafka.common.TopicPartition, Long> offsets) {
    flush();
    inner.commit(offsets);
  }

  /** Called by the processor when the inner store has been restored. */
  void load() {
    Arrays.fill(keys, 0);
    used = 0;
    try (KeyValueIterator<Integer, Long> all = inner.all()) {
      while (all.hasNext()) {
        var kv = all.next();
        int i = slot(kv.key);
        counts[i] = kv.value;
        untold[i] = true;
        unsaved[i] = false;
      }
    }
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public void init(StateStoreContext context, StateStore root) {
    inner.init(context, root);
  }

  @Override
  public void close() {
    inner.close();
  }

  @Override
  public boolean persistent() {
    return inner.persistent();
  }

  @Override
  public boolean isOpen() {
    return inner.isOpen();
  }
}
