"""What other libraries do, recorded: model clients, agent frameworks, HTTP servers."""
