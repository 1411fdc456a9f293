"""What breaks it? Kills, damaged input and long queues, counted: ``python -m benchmarks.torture``."""
