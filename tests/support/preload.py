"""Imports the service once, in the fork server: each process that it forks starts at once."""

import gc

import langchain_openai

import onionskin.chains.models.openai
import onionskin.service.cli.main
import onionskin.service.server.run

assert langchain_openai
assert onionskin.chains.models.openai
assert onionskin.service.cli.main
assert onionskin.service.server.run

gc.collect()
gc.freeze()  # shared pages stay shared in the forks
