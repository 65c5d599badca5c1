"""What is found again: embedding, indexes, ranking, and the views that cache them."""
