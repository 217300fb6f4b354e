"""Codecs: in which precision committed pages are kept."""
