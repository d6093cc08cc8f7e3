"""What stands behind dev.py: a private environment, a real ComfyUI, a browser, the demo.

Not part of the shipped pack.
"""
