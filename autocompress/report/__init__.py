"""What a run found, as people see it: tables, plots, sentences and files. Reads records, changes nothing."""
