"""What and when: assigners, aggregates, the window operator and its kernels."""
