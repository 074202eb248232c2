"""Extraction on a Ray cluster. Knows nothing of training or the command line.

The entries are those of the local engine, byte for byte: a worker runs the same extractor on a
portion of the clips and writes straight to the cache.
"""

from action_gru.cluster.engine import ClusterReport, extract_on_cluster

__all__ = ["ClusterReport", "extract_on_cluster"]
