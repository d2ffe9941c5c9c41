"""Starwise: collect customer reviews, read them letter by letter, rate a review as it is typed."""

__version__ = "0.1.0"
