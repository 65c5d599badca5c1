"""Onionskin: layered memory for LangChain chat, as a service and a library."""
