"""Real-time object detectors put together from named parts."""

__version__ = "0.1.0"
