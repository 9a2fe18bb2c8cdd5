"""What `make soak` repeats: kills, damaged files, many fits, threads, workers and full disks."""
