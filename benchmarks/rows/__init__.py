"""What `benchmarks/speed.py` measures, a module an area: rows of ours, its rival, the ratio."""
