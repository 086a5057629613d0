"""A folder for PYTHONPATH: Python looks in it for `sitecustomize`."""
