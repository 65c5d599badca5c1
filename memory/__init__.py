"""What is remembered: the transcript, its views, and the layers over them."""

import os

# One turn's products are too small for BLAS to share out: its threads would spin beside the event
# loop, for longer than the products take. It is read once, when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
