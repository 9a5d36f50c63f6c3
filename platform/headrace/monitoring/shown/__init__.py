"""What the report shows of each table of monitoring: figures, lines, tables, and words where there is nothing yet."""
