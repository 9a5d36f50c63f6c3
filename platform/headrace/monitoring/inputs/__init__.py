"""What the rows that a model scores look like, one by one: strange values, lost features, outliers."""
