"""The terminal UI: reads a run's events, draws them, and asks the search for what people want. Holds nothing up."""
