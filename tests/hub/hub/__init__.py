"""A local Hugging Face Hub for tests: API, LFS, downloads and git over HTTP on real bare repositories."""
