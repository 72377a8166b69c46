package bench;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The fastest state one can give Kafka Streams with its public interfaces: objects in a hash table, changed in place, and
 * written through to an ordinary store in memory, with its changelog, only when the task commits.
 */
final class Table<K, V> implements StateStore {
  private final KeyValueStore<K, V> inner;
  private final Map<K, V> values = new HashMap<>();
  private final Set<K> unsaved = new HashSet<>();
  private boolean loaded;

  private Table(KeyValueStore<K, V> inner) {
    this.inner = inner;
  }

  static <K, V> StoreBuilder<Table<K, V>> builder(String name, Serde<K> keys, Serde<V> values) {
    return new Builder<>(Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), keys, values));
  }

  /** The value of a key, to be changed in place; made if it is not there. */
  V edit(K key, Function<K, V> make) {
    unsaved.add(key);
    return values.computeIfAbsent(key, make);
  }

  V get(K key) {
    return values.get(key);
  }

  void remove(K key) {
    values.remove(key);
    unsaved.add(key);
  }

  void forEach(BiConsumer<K, V> f) {
    values.forEach(f);
  }

  /** To be called when the processor is made, which is after the inner store has been restored. */
  void load() {
    if (loaded) {
      return;
    }
    loaded = true;
    try (KeyValueIterator<K, V> all = inner.all()) {
      all.forEachRemaining(kv -> values.put(kv.key, kv.value));
    }
  }

  @Override
  public void flush() {
    for (K k : unsaved) {
      inner.put(k, values.get(k));
    }
    unsaved.clear();
    inner.flush();
  }

  @Override
  public void commit(Map<TopicPartition, Long> offsets) {
    flush();
    inner.commit(offsets);
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

  private record Builder<K, V>(StoreBuilder<KeyValueStore<K, V>> inner) implements StoreBuilder<Table<K, V>> {
    @Override
    public StoreBuilder<Table<K, V>> withCachingEnabled() {
      return this;
    }

    @Override
    public StoreBuilder<Table<K, V>> withCachingDisabled() {
      return this;
    }

    @Override
    public StoreBuilder<Table<K, V>> withLoggingEnabled(Map<String, String> config) {
      inner.withLoggingEnabled(config);
      return this;
    }

    @Override
    public StoreBuilder<Table<K, V>> withLoggingDisabled() {
      inner.withLoggingDisabled();
      return this;
    }

    @Override
    public Table<K, V> build() {
      return new Table<>(inner.build());
    }

    @Override
    public Map<String, String> logConfig() {
      return inner.logConfig();
    }

    @Override
    public boolean loggingEnabled() {
      return inner.loggingEnabled();
    }

    @Override
    public String name() {
      return inner.name();
    }
  }
}
