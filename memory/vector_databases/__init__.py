"""The vector layer on a vector database of somebody else's, through LangChain."""
