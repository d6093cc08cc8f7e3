"""Benchmarks: `python dev.py bench NAME --json FILE`."""
