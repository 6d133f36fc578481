"""Fuzzing of all that reads what others wrote: `make fuzz`, or `python -m tests.fuzz NAME [flags of libFuzzer]`."""
