"""Run agents: dataflow scheduler, model client, tools, cache and limits."""
