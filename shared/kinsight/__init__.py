"""Kinsight: self-hosted visual search that learns its user's own categories."""

__version__ = "0.1.0"
