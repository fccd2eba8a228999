"""Local and hub data as rows with named columns, and their seeded split. Imports nothing heavy."""
