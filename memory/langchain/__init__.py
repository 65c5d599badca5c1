"""Onionskin's memory as the classes that LangChain and LangGraph know."""
