// Package gateway serves Confluent's REST Proxy v2 API over a Kafka cluster, so
// that a device which knows HTTP and JSON alone can put records on the log.
//
// It produces records in the three embedded formats Avro, JSON and binary, and
// answers the metadata questions a producer asks (topics, partitions, brokers).
// Avro records are checked strictly against their schema before anything is
// sent, and carry the registry's wire format.
//
// It deliberately has no consumers, no v3 API, and creates no topics: a topic
// exists with explicit settings before its first record, or the request is
// refused.
package gateway
