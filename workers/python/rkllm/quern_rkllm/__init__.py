"""The worker of the engine rkllm: RKLLM-Toolkit, a closed Python wheel, driven and not believed."""
