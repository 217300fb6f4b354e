"""The profiler `trace`: where the time of a block goes."""
