"""The machine: atomic files, checksums, device, environment, profiling, progress, prefetching."""
