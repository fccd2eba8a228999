"""The search: what to try next, the children that try it, and the record of it all."""
