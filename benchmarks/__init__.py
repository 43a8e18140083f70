"""What the project measures about itself; `python -m benchmarks.run` writes docs/benchmarks.md."""
