"""What survives a batch: accumulators by slot, key interning, value logs."""
