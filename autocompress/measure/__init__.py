"""Measuring: latency, memory, quality and the environment, each with how sure the figure is."""
