"""Tasks: one file each, for loading models, preparing samples, running and scoring them."""
