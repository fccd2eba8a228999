"""Checkpoints in the layouts of other packages: linear weights packed as AutoGPTQ and AutoAWQ pack them."""
