"""Performance suite: ``python -m benchmarks`` measures, and writes the figures."""
