package bench;

import java.util.function.BiConsumer;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** A store by text, in either form: Kafka Streams' own with its cache, or {@link Table}. */
interface Stored<V> {
  V get(String key);

  /** Has a value changed by f, made first if it is not there. */
  void change(String key, Function<String, V> make, java.util.function.Consumer<V> f);

  void remove(String key);

  void forEach(BiConsumer<String, V> f);

  static <V> StoreBuilder<? extends StateStore> builder(String form, String name, Serde<V> values) {
    return switch (form) {
      case "rocksdb" -> Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), values).withCachingEnabled();
      case "memory" -> Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), values).withCachingEnabled();
      case "fastest" -> Table.builder(name, Serdes.String(), values);
      default -> throw new IllegalArgumentException("unknown form " + form);
    };
  }

  static <V> Stored<V> of(ProcessorContext<?, ?> context, String name) {
    StateStore s = context.getStateStore(name);
    if (s instanceof Table) {
      @SuppressWarnings("unchecked")
      Table<String, V> t = (Table<String, V>) s;
      t.load();
      return new InTable<>(t);
    }
    @SuppressWarnings("unchecked")
    KeyValueStore<String, V> kv = (KeyValueStore<String, V>) s;
    return new InStore<>(kv);
  }

  record InTable<V>(Table<String, V> t) implements Stored<V> {
    @Override
    public V get(String key) {
      return t.get(key);
    }

    @Override
    public void change(String key, Function<String, V> make, java.util.function.Consumer<V> f) {
      f.accept(t.edit(key, make));
    }

    @Override
    public void remove(String key) {
      t.remove(key);
    }

    @Override
    public void forEach(BiConsumer<String, V> f) {
      t.forEach(f);
    }
  }

  record InStore<V>(KeyValueStore<String, V> kv) implements Stored<V> {
    @Override
    public V get(String key) {
      return kv.get(key);
    }

    @Override
    public void change(String key, Function<String, V> make, java.util.function.Consumer<V> f) {
      V v = kv.get(key);
      if (v == null) {
        v = make.apply(key);
      }
      f.accept(v);
      kv.put(key, v);
    }

    @Override
    public void remove(String key) {
      kv.delete(key);
    }

    @Override
    public void forEach(BiConsumer<String, V> f) {
      try (KeyValueIterator<String, V> all = kv.all()) {
        all.forEachRemaining(e -> f.accept(e.key, e.value));
      }
    }
  }
}
