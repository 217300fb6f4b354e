"""Quantizers: int8 and fp8 linear layers."""
