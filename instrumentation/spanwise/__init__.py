"""spanwise records what an agent run did and what it waited for."""
