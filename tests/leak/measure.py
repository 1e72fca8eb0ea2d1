"""What a process holds: pages, and Python's own objects."""

from __future__ import annotations

import gc
import sys
from functools import _lru_cache_wrapper
from typing import NamedTuple

import psutil


class Held(NamedTuple):
    """What a process, or several together, holds: resident bytes, and blocks that Python's allocator gave out."""

    resident: int
    objects: int


def resident(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def objects() -> int:
    """Count what this process still holds once nothing is left of what it does not need.

    A cache with a bound is emptied: that it fills is no leak. One without a bound is left as it is.
    """
    for cache in _caches():
        if cache.cache_parameters()["maxsize"] is not None:
            cache.cache_clear()
    gc.collect()
    return sys.getallocatedblocks()


def _caches() -> list[_lru_cache_wrapper[object]]:
    modules = [module for name, module in sys.modules.items() if name.startswith("indexer.")]
    values = [value for module in modules for value in vars(module).values()]
    return [value for value in values if isinstance(value, _lru_cache_wrapper)]
