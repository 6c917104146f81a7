"""A stand-in of RKLLM-Toolkit, for tests: see tests/standin/README.md. It is not the vendor's toolkit."""
