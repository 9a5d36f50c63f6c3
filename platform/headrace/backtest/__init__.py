"""What other policies of retraining would have done: a product's history again, day by day, under each of them."""
