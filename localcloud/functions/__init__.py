"""The Functions host: runs an unmodified `function_app.py` in Microsoft's worker library."""
