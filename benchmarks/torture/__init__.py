"""What breaks it? Kills and damaged input, counted: ``python -m benchmarks.torture``."""
