"""Compression methods: one file each, a `Step` with its knobs and its ``apply``."""
