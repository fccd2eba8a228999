"""Training inside a step: batches, losses against a teacher, a loop that survives interruptions."""
