"""Kafka as a live source: topics, whose partitions are followed from any offset."""
