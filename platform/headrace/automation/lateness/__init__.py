"""When an asset counts as late in Dagster's own words: how long ago it may have been made."""
