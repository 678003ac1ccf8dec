"""Starts vLLM for the user, in a process and an environment of its own, minds it, and leaves nothing behind.

Knows the command line and the log of vLLM 0.31 to 0.33; knows nothing of what is asked of it.
"""

from selfinstruct.serving.locate import Vllm, find
from selfinstruct.serving.replicas import served

__all__ = ["Vllm", "find", "served"]
