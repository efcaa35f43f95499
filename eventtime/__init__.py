"""Event-time windows over streams of Arrow record batches."""
