"""Export formats: one plug-in each, which writes a model to files, and loads those files to run them."""
