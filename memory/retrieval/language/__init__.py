"""Text analysis: index terms, dates and word vectors of each language."""
