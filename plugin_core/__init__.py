"""neural-isp: RAW restoration. See docs/architecture.md for what lives where."""

__version__ = "0.1.0"
