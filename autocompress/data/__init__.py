"""Reading data: one file per kind of source, the roles of its columns, and the cut into parts. Torch-free."""
