"""The doors to the web: the only rooms that know Gradio and HTTP."""
