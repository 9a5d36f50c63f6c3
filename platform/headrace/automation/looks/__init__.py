"""What a look of a sensor needs of Dagster."""
