"""Cache entries of drawn values, and caches and shards of them."""

import numpy as np

from action_gru.features import (
    ClipFeatures,
    FeatureCache,
    cache_key,
)

KEY = cache_key({"video": "a", "fps": 12.5})


def drawn_entry(seed: int = 0, steps: int = 5) -> ClipFeatures:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps, 7)).astype(np.float16)
    return ClipFeatures(values, np.arange(steps) / 10, 12, {"view": "rgb"})


KEYS = [cache_key({"clip": number}) for number in range(30)]


def filled(root, numbers=range(30)) -> FeatureCache:
    cache = FeatureCache(root)
    for number in numbers:
        cache.put(KEYS[number], drawn_entry(number, steps=3 + number % 4))
    return cache


def shards(cache: FeatureCache) -> list[str]:
    return list(cache.storage.names(".shard"))
