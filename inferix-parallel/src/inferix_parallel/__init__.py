"""Parallel strategies of Inferix: one world over several ranks."""
