"""Speed, measured: each benchmark prints ratios of things run side by side."""
