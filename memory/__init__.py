"""What is remembered: the transcript, its views, and the layers over them."""
