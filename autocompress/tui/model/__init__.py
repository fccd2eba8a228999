"""What the events of a run amount to: plain Python, without Textual, pydantic or anything that takes long to import."""
