"""A simulated OpenAI-compatible provider: load and failure tests of any agent, without paying for tokens.

A tool of its own: it imports nothing else of this project, knows no system's prompts, and needs only starlette and
uvicorn. What it replies is a pure function of the request; when it replies is drawn from the request's seed and key.
"""
