"""The page in the browser: upload a video or photo, see what was found, take the report along.

Gradio carries uploads and events; what a person sees is made of the files in ``templates`` and ``static``.
"""
