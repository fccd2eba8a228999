"""One file per widget; each draws a `RunState` and knows nothing of files or processes."""
