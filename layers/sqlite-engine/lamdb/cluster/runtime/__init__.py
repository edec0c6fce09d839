"""A function's process: loading, snapshots, logs, metrics and traces."""
